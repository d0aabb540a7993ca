package server

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sandtree/sandtree/internal/child"
)

// An editorProgram is a server of VS Code that is installed.
type editorProgram struct {
	path string
	code bool // it is code-server, which takes other flags than openvscode-server
}

// The names and places of the programs. The second place is OpenHands' images'.
const (
	openVSCode = "openvscode-server"
	codeServer = "code-server"
	imageRoot  = "/openhands/.openvscode-server"
)

// findEditor looks for a server of VS Code: in root, in OpenHands' place, and on the PATH of programs.
func findEditor(root string, env []string) (editorProgram, error) {
	places := []editorProgram{{filepath.Join(imageRoot, "bin", openVSCode), false}}
	if root != "" {
		places = append([]editorProgram{{filepath.Join(root, "bin", openVSCode), false}, {filepath.Join(root, "bin", codeServer), true}}, places...)
	}
	for _, name := range []string{openVSCode, codeServer} {
		if path, ok := onPath(name, env); ok {
			places = append(places, editorProgram{path, name == codeServer})
		}
	}
	for _, p := range places {
		if info, err := os.Stat(p.path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return editorProgram{}, fmt.Errorf("neither %s nor %s is installed: install one of them on PATH or in %s, or set OPENVSCODE_SERVER_ROOT", openVSCode, codeServer, imageRoot)
}

// command starts the program. Descriptor 3 is a file with the token.
func (p editorProgram) command(c VSCode, dir, token string, env []string) child.Command {
	folder := c.Folder
	if folder == "" {
		folder = dir
	}
	cmd := child.Command{Path: p.path, Env: env, Dir: folder, Name: "vscode"}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		cmd.Dir = dir
	}
	if !p.code {
		cmd.Args = []string{openVSCode, "--host", "0.0.0.0", "--port", strconv.Itoa(c.Port),
			"--connection-token-file", "/dev/fd/3", "--disable-workspace-trust", "--telemetry-level", "off", "--accept-server-license-terms"}
		if c.BasePath != "" {
			cmd.Args = append(cmd.Args, "--server-base-path", c.BasePath)
		}
		return cmd
	}
	// It has no token but a password, which it asks for on a page of its own.
	cmd.Env = append(cmd.Env, "PASSWORD="+token)
	cmd.Args = []string{codeServer, "--bind-addr", fmt.Sprintf("0.0.0.0:%d", c.Port), "--auth", "password", "--config", os.DevNull,
		"--disable-workspace-trust", "--disable-telemetry", "--disable-update-check"}
	if c.BasePath != "" {
		cmd.Args = append(cmd.Args, "--abs-proxy-base-path", c.BasePath)
	}
	cmd.Args = append(cmd.Args, cmd.Dir)
	return cmd
}

// settings are what the original's VS Code begins with.
const settings = `{
    "workbench.colorTheme": "Default Dark Modern",
    "workbench.startupEditor": "none",
    "chat.commandCenter.enabled": false
}
`

// writeSettings puts the settings below dir, unless there are some. No link leads out of dir.
func (e *editor) writeSettings(dir string) error {
	if dir == "" {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there is no such workspace
	}
	if err != nil {
		return err
	}
	defer root.Close()
	made := root.Mkdir(".vscode", 0o755) == nil
	f, err := root.OpenFile(".vscode/settings.json", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(settings)
	err = errors.Join(err, f.Chmod(0o666))
	if u := e.s.config.User; u != nil {
		err = errors.Join(err, f.Chown(int(u.Uid), int(u.Gid)))
		if made {
			err = errors.Join(err, root.Lchown(".vscode", int(u.Uid), int(u.Gid)))
		}
	}
	return errors.Join(err, f.Close())
}

// uuid4 is a random UUID: RFC 9562, section 5.4.
func uuid4() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
