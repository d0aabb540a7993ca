package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	cdpbrowser "github.com/chromedp/cdproto/browser"
)

const (
	maxDownloads = 100              // that are remembered
	downloadTime = 60 * time.Second // how long an action waits for a file that it has caused to be sent
)

// A download is a file that a page has sent instead of something to be shown.
type download struct {
	guid, name string
	state      cdpbrowser.DownloadProgressState
	path       string
}

func (e *engine) downloadLocked(method string, params []byte) {
	if method == "Browser.downloadWillBegin" {
		var b cdpbrowser.EventDownloadWillBegin
		_ = json.Unmarshal(params, &b)
		if len(e.downloads) >= maxDownloads {
			e.downloads = append(e.downloads[:0], e.downloads[1:]...)
		}
		e.downloads = append(e.downloads, &download{guid: b.GUID, name: b.SuggestedFilename})
		return
	}
	var p cdpbrowser.EventDownloadProgress
	_ = json.Unmarshal(params, &p)
	for _, d := range e.downloads {
		if d.guid == p.GUID {
			d.state, d.path = p.State, p.FilePath
		}
	}
}

// latest is the newest download; nil if there is none.
func (e *engine) latest() *download {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.latestLocked()
}

func (e *engine) latestLocked() *download {
	if len(e.downloads) == 0 {
		return nil
	}
	return e.downloads[len(e.downloads)-1]
}

// fetched waits until a file is there, and gives its path below the downloads' directory.
func (e *engine) fetched(ctx context.Context, c Config, d *download) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, downloadTime, failed("TimeoutError", "the download of %q takes more than %s", d.name, downloadTime))
	defer cancel()
	var state cdpbrowser.DownloadProgressState
	err := e.await(ctx, func() bool {
		state = d.state
		return state == cdpbrowser.DownloadProgressStateCompleted || state == cdpbrowser.DownloadProgressStateCanceled
	})
	if err == nil && state == cdpbrowser.DownloadProgressStateCanceled {
		err = failed("Error", "the download of %q was cancelled", d.name)
	}
	if err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if d.path != "" {
		return filepath.Base(d.path), nil
	}
	return filepath.Base(d.name), nil
}

// place copies a download into the working directory, as file_1, file_2, … with an extension that tells its kind. It
// stops when ctx ends.
func (c Config) place(ctx context.Context, name string) (path string, err error) {
	root, err := os.OpenRoot(c.Dir) // whatever the sandbox's programs put there, nothing outside is read or written
	if err != nil {
		return "", err
	}
	defer root.Close()
	in, err := c.openDownload(root, filepath.Join(downloadsDir, name))
	if err != nil {
		return "", err
	}
	defer in.Close()
	head := make([]byte, 16)
	n, err := in.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	ext := extension(name, head[:n])
	for i := 1; ; i++ {
		to := fmt.Sprintf("file_%d%s", i, ext)
		out, err := root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = io.Copy(out, bounded{ctx, in})
		if err = errors.Join(err, c.own(out), out.Close()); err != nil {
			return "", errors.Join(err, root.Remove(to))
		}
		return filepath.Join(c.Dir, to), nil
	}
}

// openDownload opens a file that the browser has written. Programs of the sandbox may have put another in its place: one
// that is waited for, as a pipe is, or one that only the server may read.
func (c Config) openDownload(root *os.Root, name string) (*os.File, error) {
	in, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := in.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", name)
	}
	if err == nil && c.Child.User != nil {
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != c.Child.User.Uid {
			err = fmt.Errorf("%s: %w", name, fs.ErrPermission)
		}
	}
	if err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

// bounded is a reader until ctx ends.
type bounded struct {
	ctx context.Context
	io.Reader
}

func (b bounded) Read(p []byte) (int, error) {
	if b.ctx.Err() != nil {
		return 0, context.Cause(b.ctx)
	}
	return b.Reader.Read(p)
}

// own gives a new file to the user of the sandbox.
func (c Config) own(f *os.File) error {
	if u := c.Child.User; u != nil {
		return f.Chown(int(u.Uid), int(u.Gid))
	}
	return nil
}

// kinds are what files begin with that have lost their name.
var kinds = []struct{ head, ext string }{
	{"%PDF-", ".pdf"}, {"\x89PNG", ".png"}, {"\xff\xd8\xff", ".jpg"}, {"GIF8", ".gif"}, {"PK\x03\x04", ".zip"}, {"\x1f\x8b", ".gz"},
	{"<!DOCTYPE html", ".html"}, {"<html", ".html"}, {"{", ".json"}, {"<?xml", ".xml"},
}

// extension is that of the file's own name, else one for how it begins; "" if neither tells.
func extension(name string, head []byte) string {
	if ext := strings.ToLower(filepath.Ext(name)); len(ext) > 1 && len(ext) < 10 && strings.Trim(ext[1:], "abcdefghijklmnopqrstuvwxyz0123456789") == "" {
		return ext
	}
	for _, k := range kinds {
		if bytes.HasPrefix(head, []byte(k.head)) {
			return k.ext
		}
	}
	return ""
}
