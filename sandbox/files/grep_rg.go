package files

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/sandtree/sandtree/internal/child"
)

// errNoRipgrep is a ripgrep that could not be started or does not understand us: the search goes on without it.
var errNoRipgrep = errors.New("ripgrep does not work here")

// ripgrep has rg search below all.top. It finds no less than what is asked for; what is more is left out here.
func (g *grep) ripgrep(ctx context.Context, all *selection) error {
	dir, err := all.top.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	files, err := openPipes()
	if err != nil {
		return err
	}
	defer files.close()
	// Entered by its descriptor, the directory is the one that was looked at, whatever has its name by now.
	rg, err := child.Start(g.o.Child, child.Command{Path: g.o.Ripgrep, Args: append([]string{"rg"}, g.arguments()...), Env: g.o.Env,
		Dir: fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), Files: []*os.File{files.null, files.outW, files.errW}, Name: "rg"})
	files.closeTheirs()
	if err != nil {
		return errNoRipgrep
	}
	defer rg.Close()
	stop := context.AfterFunc(ctx, func() { rg.Close() })
	defer stop()
	said := make(chan []byte, 1)
	go func() { said <- readSome(files.errR) }() // ends with the child
	g.sum.Engine = "ripgrep"
	if err := g.collect(files.outR, all); err != nil {
		rg.Close()
		<-said
		return err
	}
	complaint := <-said
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e := rg.Exit(); e.Signal != 0 || e.Code > 2 || e.Code == 2 && len(complaint) > 0 {
		if g.sum.Matches > 0 {
			return fmt.Errorf("ripgrep ended with code %d, signal %d: %.200q", e.Code, e.Signal, complaint)
		}
		return errNoRipgrep
	}
	return nil
}

// Characters that end a line's number and its column; ':' and '-' are ripgrep's own.
const (
	matchSeparator   = ":"
	contextSeparator = "-"
)

// arguments make rg search binary files as well: where it stops in one depends on its buffers.
func (g *grep) arguments() []string {
	args := []string{"--no-config", "--no-messages", "--color=never", "--no-heading", "--with-filename", "--line-number", "--column", "--null",
		"--no-context-separator", "--sort=path", "--text", "--encoding=none", "--no-ignore-global", "--no-ignore-exclude",
		"--no-ignore-parent", "--no-ignore-dot", "--no-require-git", "--case-sensitive"}
	if g.o.Hidden {
		args = append(args, "--hidden")
	}
	if g.o.NoIgnore {
		args = append(args, "--no-ignore")
	}
	if g.o.Context > 0 {
		args = append(args, "--context="+strconv.Itoa(g.o.Context))
	}
	if g.o.Glob != "" && g.o.Glob[0] != '!' {
		args = append(args, "--glob="+g.o.Glob)
	}
	return append(args, "--regexp="+g.forRipgrep(), "./")
}

// collect takes what rg prints: for each line "./PATH", NUL, NUMBER ":" COLUMN ":" TEXT, or NUMBER "-" TEXT for one around a match.
func (g *grep) collect(out io.Reader, all *selection) error {
	in := bufio.NewReaderSize(out, 64<<10)
	file, take := "", false
	for {
		text, err := g.line(in)
		if name, rest, ok := bytes.Cut(text, []byte{0}); ok && bytes.HasPrefix(name, []byte("./")) {
			if string(name[2:]) != file {
				file = string(name[2:])
				take = g.wanted(all, file)
			}
			if number, column, shown, ok := parseFound(rest); take && ok {
				if err := g.found(file, number, column, shown); err != nil {
					return err
				}
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// wanted says whether the search here would have looked at a file that rg has found something in.
func (g *grep) wanted(all *selection, file string) bool {
	if !g.wants(file) || checkPath(file) != nil {
		return false
	}
	all.lists = nil
	all.enter(".")
	for i := range file {
		if file[i] == '/' && !all.has(file[:i], true) {
			return false
		}
	}
	if !all.has(file, false) {
		return false
	}
	f, _, err := openRegularIn(all.top, file)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, binarySign)
	n, _ := io.ReadFull(f, head)
	return bytes.IndexByte(head[:n], 0) < 0
}

func parseFound(b []byte) (number, column int, text []byte, ok bool) {
	digits := len(b) - len(bytes.TrimLeft(b, "0123456789"))
	number, err := strconv.Atoi(string(b[:digits]))
	if err != nil || digits == len(b) {
		return 0, 0, nil, false
	}
	switch sep := string(b[digits]); sep {
	case contextSeparator:
		return number, 0, b[digits+1:], true
	case matchSeparator:
		col, text, ok := strings.Cut(asString(b[digits+1:]), matchSeparator)
		column, err := strconv.Atoi(col)
		return number, column, []byte(text), ok && err == nil && column > 0
	}
	return 0, 0, nil, false
}

// pipes are the descriptors of a program: nothing to read, and two pipes to write to.
type pipes struct{ null, outR, outW, errR, errW *os.File }

func openPipes() (p pipes, err error) {
	if p.null, err = os.Open(os.DevNull); err == nil {
		if p.outR, p.outW, err = os.Pipe(); err == nil {
			p.errR, p.errW, err = os.Pipe()
		}
	}
	if err != nil {
		p.close()
	}
	return p, err
}

func (p pipes) closeTheirs() {
	p.outW.Close()
	p.errW.Close()
}

func (p pipes) close() {
	for _, f := range []*os.File{p.null, p.outR, p.outW, p.errR, p.errW} {
		if f != nil {
			f.Close()
		}
	}
}

// readSome reads to the end and keeps the beginning.
func readSome(r io.Reader) []byte {
	b, _ := io.ReadAll(io.LimitReader(r, 4<<10))
	_, _ = io.Copy(io.Discard, r)
	return b
}
