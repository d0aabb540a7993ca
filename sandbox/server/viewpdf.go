package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/child"
)

const (
	maxDrawn   = 50       // pages of a document
	drawnBytes = 48 << 20 // of their images together
	drawnDPI   = 96       // which is one pixel of a page at its natural size
)

// showPDF draws a document's pages with poppler's pdftoppm, as the sandbox's user. Where that is not installed, or cannot
// read the document, the page says so.
func (v *viewer) showPDF(f *os.File, name string) ([]byte, error) {
	program, ok := onPath("pdftoppm", v.s.config.Env)
	if !ok {
		return documentPage(name, nil, "The pages of a PDF are drawn by pdftoppm, which is not installed here: install poppler-utils, then reload."), nil
	}
	drawn, why, err := v.s.filter(f, program, "pdftoppm", "-q", "-png", "-r", strconv.Itoa(drawnDPI), "-l", strconv.Itoa(maxDrawn), "-")
	if err != nil {
		return nil, err
	}
	pages := splitPNG(drawn)
	switch {
	case len(pages) == 0:
		return nil, fmt.Errorf("pdftoppm cannot draw it: %s", why)
	case len(pages) == maxDrawn:
		return documentPage(name, pages, fmt.Sprintf("At most the first %d pages are shown.", maxDrawn)), nil
	case why != "":
		return documentPage(name, pages, "Not all was drawn: "+why), nil
	}
	return documentPage(name, pages, ""), nil
}

// filter runs a program of the sandbox with a file as its input and gives what it prints, and why it failed, if it did.
func (s *Server) filter(in *os.File, path string, args ...string) (printed []byte, why string, err error) {
	out, said, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer out.Close()
	c, err := child.Start(s.childConfig(), child.Command{Path: path, Args: args, Env: s.config.environment(), Dir: "/",
		Files: []*os.File{in, said, nil}, Name: "view"})
	said.Close()
	if err != nil {
		return nil, "", err
	}
	defer c.Close()
	_ = out.SetReadDeadline(time.Now().Add(viewTime))
	defer context.AfterFunc(s.life, func() { _ = out.SetReadDeadline(time.Unix(1, 0)) })() // a server that stops does not wait for it
	printed, err = io.ReadAll(io.LimitReader(out, drawnBytes))
	if err == nil && len(printed) == drawnBytes {
		return printed, "it is too long", nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return printed, "it takes too long", nil
	}
	if err != nil {
		return nil, "", err
	}
	select { // what has closed its output need not have ended
	case <-c.Done():
	case <-time.After(time.Second):
		_ = c.Close()
	}
	if exit := c.Exit(); exit.Code != 0 {
		why = fmt.Sprintf("it ended with code %d", exit.Code)
	}
	return printed, why, nil
}

// splitPNG splits images that follow each other. What is none ends them.
func splitPNG(b []byte) (pages []sheetOfPaper) {
	const signature, ihdr = "\x89PNG\r\n\x1a\n", len("\x89PNG\r\n\x1a\n")
	for bytes.HasPrefix(b, []byte(signature)) {
		at := ihdr
		for {
			if len(b)-at < 12 {
				return pages // cut off
			}
			n, typ := binary.BigEndian.Uint32(b[at:]), string(b[at+4:at+8])
			if uint64(n) > uint64(len(b)-at-12) || at == ihdr && (typ != "IHDR" || n < 8) {
				return pages
			}
			at += 12 + int(n)
			if typ == "IEND" {
				break
			}
		}
		w, h := binary.BigEndian.Uint32(b[ihdr+8:]), binary.BigEndian.Uint32(b[ihdr+12:])
		const most = 1 << 15 // what a canvas can have
		if w > most || h > most {
			return pages
		}
		pages = append(pages, sheetOfPaper{int(w), int(h), b[:at]})
		b = b[at:]
	}
	return pages
}

// onPath looks for a program on the PATH of an environment.
func onPath(name string, env []string) (string, bool) {
	for _, v := range env {
		path, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(path) {
			at := filepath.Join(dir, name)
			if info, err := os.Stat(at); filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return at, true
			}
		}
	}
	return "", false
}

// openAsUser opens a file for reading if the sandbox's programs may read it. It waits for nobody, as a pipe would make it.
func (s *Server) openAsUser(path string) (f *os.File, err error) {
	open := func() {
		f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	}
	u := s.config.User
	if u == nil {
		open()
		return f, err
	}
	done := make(chan struct{})
	go func() { // ends with its thread, which is the only one that becomes the user
		defer close(done)
		runtime.LockOSThread()
		if err = becomeForFiles(u); err == nil {
			open()
		}
	}()
	<-done
	return f, err
}

// becomeForFiles makes the calling thread the user as far as files are concerned.
func becomeForFiles(u *syscall.Credential) error {
	groups := append([]uint32{u.Gid}, u.Groups...)
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0); e != 0 {
		return os.NewSyscallError("setgroups", e)
	}
	_, _ = unix.SetfsgidRetGid(int(u.Gid))
	_, _ = unix.SetfsuidRetUid(int(u.Uid))
	if now, err := unix.SetfsuidRetUid(-1); err != nil || now != int(u.Uid) {
		return errors.New("the server cannot become the sandbox's user to read files")
	}
	return nil
}
