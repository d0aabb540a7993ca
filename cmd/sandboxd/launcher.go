package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox/server"
)

// What OpenHands' launchers say by the environment besides what is read elsewhere: SESSION_API_KEY (env.go), LOG_JSON,
// LOG_LEVEL and DEBUG (flags.go), USER, SU_TO_USER and SANDBOX_GROUP_ID (user.go). Of no effect here: LOCAL_RUNTIME_MODE
// and OPENHANDS_REPO_PATH, since kernels come from the machine's own Python; LOG_ALL_EVENTS, since actions are not logged;
// RUNTIME_USERNAME, since VS Code and the shell are for whichever user --username names; the variables that agent skills
// read themselves.

// launcher reads them. Code of errors: Invalid.
func (f *flags) launcher(environ []string) error {
	var err error
	if f.noChange, err = seconds(environ, "NO_CHANGE_TIMEOUT_SECONDS"); err != nil {
		return err
	}
	if f.pluginTimeout, err = seconds(environ, "INIT_PLUGIN_TIMEOUT"); err != nil {
		return err
	}
	if v := variable(environ, "RUNTIME_MAX_MEMORY_GB"); v != "" {
		if n, err := strconv.Atoi(v); err != nil || n <= 0 {
			return invalid("RUNTIME_MAX_MEMORY_GB", fmt.Errorf("%q is no number of gigabytes", v))
		}
		f.notes = append(f.notes, "RUNTIME_MAX_MEMORY_GB="+v+" bounds nothing, as with OpenHands: give the sandbox itself a limit of memory")
	}
	if truthy(variable(environ, "RUNTIME_MEMORY_MONITOR")) {
		f.notes = append(f.notes, "RUNTIME_MEMORY_MONITOR: memory is not logged; ask /server_info or /v1/metrics")
	}
	if v := variable(environ, "LOG_TO_FILE"); truthy(v) {
		f.notes = append(f.notes, "LOG_TO_FILE: the log goes to standard error")
	}
	f.hosts = append(f.hosts, strings.FieldsFunc(variable(environ, "SANDBOXD_HOSTS"), func(r rune) bool { return r == ',' || r == ' ' })...)
	if u, err := url.Parse(variable(environ, "RUNTIME_URL")); err == nil && u.Hostname() != "" {
		f.hosts = append(f.hosts, u.Hostname())
	}
	f.code = f.vscode(environ)
	return nil
}

// seconds reads a whole number of seconds; 0 if the variable is not set.
func seconds(environ []string, name string) (time.Duration, error) {
	v := variable(environ, name)
	if v == "" {
		return 0, nil
	}
	const most = 1 << 30
	n, err := strconv.Atoi(v)
	if err != nil || n <= 0 || n > most {
		return 0, invalid(name, fmt.Errorf("%.40q is no number of seconds", v))
	}
	return time.Duration(n) * time.Second, nil
}

// vscode is how VS Code is to be served, if the plugin is asked for. A port that is none is no error, as with OpenHands,
// whose clients then get no token.
func (f *flags) vscode(environ []string) server.VSCode {
	or := func(name, otherwise string) string {
		if v := variable(environ, name); v != "" {
			return v
		}
		return otherwise
	}
	c := server.VSCode{Root: variable(environ, "OPENVSCODE_SERVER_ROOT"), Folder: or("WORKSPACE_MOUNT_PATH_IN_SANDBOX", "/workspace"),
		Settings: or("WORKSPACE_BASE", "/workspace"), BasePath: basePath(environ)}
	v := variable(environ, "VSCODE_PORT")
	n, err := strconv.ParseUint(v, 10, 16)
	switch {
	case v == "":
		c.Off = "VSCODE_PORT is not set: set it to a free port"
	case err != nil || n == 0:
		c.Off = fmt.Sprintf("VSCODE_PORT: %.40q is no port: set it to a free one", v)
	default:
		c.Port = int(n)
	}
	return c
}

// basePath is before the paths of VS Code's pages: what is said, or what the address of the runtime implies where several
// runtimes share a host.
func basePath(environ []string) string {
	if v := variable(environ, "OPENVSCODE_SERVER_BASE_PATH"); v != "" {
		return v
	}
	id := variable(environ, "RUNTIME_ID")
	u, err := url.Parse(variable(environ, "RUNTIME_URL"))
	if err != nil || id == "" || u.Path != "/"+id && !strings.HasPrefix(u.Path, "/"+id+"/") {
		return ""
	}
	return "/" + id + "/vscode"
}

// viewerFile is where OpenHands' browser tool looks for the address of the file viewer.
const viewerFile = "/tmp/oh-server-url"

// listenViewer finds a port for the file viewer: one of the 1024 above the server's own, as OpenHands does.
func listenViewer(of net.Addr) (net.Listener, error) {
	base := 0
	if a, ok := of.(*net.TCPAddr); ok {
		base = a.Port
	}
	errs := []error{errors.New("no free port was found for the file viewer")}
	for range 10 {
		port := base + 1 + rand.IntN(max(1, min(1024, 65535-base)))
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return ln, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// unknown are the flags among args that mean nothing here, without their values, which may be secrets.
func (f *flags) unknown(args []string) (names []string) {
	for _, a := range args {
		name, ok := strings.CutPrefix(a, "--")
		if name, _, _ = strings.Cut(name, "="); ok && name != "" && f.set.Lookup(name) == nil {
			names = append(names, "--"+name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
