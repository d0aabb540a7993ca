package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/internal/floor"
)

// The floors: the least that work of a kind costs on this machine.
const (
	floorPipe     = "pipe"             // a round trip to a bash on two pipes, in this process
	floorTerminal = "terminal"         // the same to a bash on a terminal, behind a bare HTTP server on a Unix socket
	floorHTTP     = "http"             // a request to that server that asks for nothing
	floorExec     = "fork and exec"    // a program that does nothing
	floorStart    = "server start"     // from exec of that server, with its bash, to the first answer of the bash
	floorOutput   = "pipe 1 MB"        // 1 MB of output of a bash on pipes
	floorWriteKB  = "write 10 KB file" // by this process, in its temporary directory, as a new file
	floorReadKB   = "read 10 KB file"
	floorWriteMB  = "write 10 MB file"
	floorReadMB   = "read 10 MB file"
)

// oneMB prints a million bytes.
const oneMB = `head -c 1000000 /dev/zero | tr '\0' x`

// floors measures the bare machine, when and as often as it is asked to. What a floor needs is started with its first measurement.
type floors struct {
	program []string
	dir     string
	ready   map[string]func() error
	broken  map[string]error
	names   []string // in the order of their first use
	rounds  map[string][][]float64
	after   []func() error // ends what the latest sample has started
	closers []func() error
}

func newFloors(program []string) *floors {
	return &floors{program: program, ready: map[string]func() error{}, broken: map[string]error{}, rounds: map[string][][]float64{}}
}

// begin begins a round of a floor, "" is none. It is false if this machine cannot have it.
func (f *floors) begin(name string) bool {
	if name == "" || f.broken[name] != nil {
		return false
	}
	if f.ready[name] == nil {
		do, err := f.prepare(name)
		for range 3 { // what is cold the first time
			if err == nil {
				err = errors.Join(do(), f.clear())
			}
		}
		if err != nil {
			f.broken[name] = err
			return false
		}
		f.ready[name] = do
		f.names = append(f.names, name)
	}
	f.rounds[name] = append(f.rounds[name], nil)
	return true
}

// measure takes n samples of a floor whose round has begun.
func (f *floors) measure(name string, n int) error {
	last := len(f.rounds[name]) - 1
	for range n {
		begun := time.Now()
		if err := f.ready[name](); err != nil {
			return fmt.Errorf("the floor %q: %w", name, err)
		}
		f.rounds[name][last] = append(f.rounds[name][last], float64(time.Since(begun)))
		if err := f.clear(); err != nil {
			return err
		}
	}
	return nil
}

// clear ends what a sample has started, which is no part of it.
func (f *floors) clear() (err error) {
	for _, end := range f.after {
		err = errors.Join(err, end())
	}
	f.after = f.after[:0]
	return err
}

// median is that of the round that was begun last.
func (f *floors) median(name string) float64 {
	all := f.rounds[name]
	if len(all) == 0 {
		return 0
	}
	return result.Median(all[len(all)-1])
}

func (f *floors) prepare(name string) (func() error, error) {
	switch name {
	case floorPipe, floorOutput:
		command, least := "true", 0
		if name == floorOutput {
			command, least = oneMB, 1_000_000
		}
		run, end, err := floor.Open()
		if err != nil {
			return nil, err
		}
		f.closers = append(f.closers, end)
		return said(run, command, least), nil
	case floorTerminal, floorHTTP:
		return f.server(name)
	case floorStart:
		return f.startServer, nil
	case floorExec:
		return func() error { return exec.Command("true").Run() }, nil
	}
	return f.file(name)
}

func said(run func(string) (string, error), command string, least int) func() error {
	return func() error {
		out, err := run(command)
		if err == nil && len(out) < least {
			err = fmt.Errorf("it said %d bytes, not %d", len(out), least)
		}
		return err
	}
}

var errNoProgram = errors.New("there is no program that could be its server")

func (f *floors) server(name string) (func() error, error) {
	if len(f.program) == 0 {
		return nil, errNoProgram
	}
	dial, end, err := floor.Start(append(f.program[:len(f.program):len(f.program)], PartFloor), floor.Ordinary)
	if err != nil {
		return nil, err
	}
	f.closers = append(f.closers, end)
	path := "/"
	if name == floorHTTP {
		path = "/alive"
	}
	run, hangUp := floor.ClientAt(dial, path)
	f.closers = append(f.closers, func() error { hangUp(); return nil })
	return said(run, "true", 0), nil
}

func (f *floors) startServer() error {
	if len(f.program) == 0 {
		return errNoProgram
	}
	dial, end, err := floor.Start(append(f.program[:len(f.program):len(f.program)], PartFloor), floor.Ordinary)
	if err != nil {
		return err
	}
	run, hangUp := floor.Client(dial)
	defer hangUp()
	_, err = run("true")
	f.after = append(f.after, end)
	return err
}

func (f *floors) file(name string) (func() error, error) {
	if f.dir == "" {
		dir, release, err := floorDir()
		if err != nil {
			return nil, err
		}
		f.dir = dir
		f.closers = append(f.closers, release)
	}
	size := 10_000
	if name == floorWriteMB || name == floorReadMB {
		size = 10_000_000
	}
	path := filepath.Join(f.dir, fmt.Sprint(size))
	content := bytes.Repeat([]byte("x"), size)
	write := func() error { // a new file in the place of the old one, as whoever reads it would want
		if err := os.WriteFile(path+".new", content, 0o600); err != nil {
			return err
		}
		return os.Rename(path+".new", path)
	}
	if name == floorWriteKB || name == floorWriteMB {
		return write, nil
	}
	return func() error { _, err := os.ReadFile(path); return err }, write()
}

// close ends what floors have started.
func (f *floors) close() error {
	err := f.clear()
	for i := len(f.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, f.closers[i]())
	}
	f.closers = nil
	return err
}

// series are the floors that were measured.
func (f *floors) series() (all []result.Series) {
	for _, name := range f.names {
		all = append(all, result.Series{Name: name, Unit: "ns", Better: "less", Rounds: f.rounds[name], Summary: result.Summarize(f.rounds[name])})
	}
	return all
}

// drifted is how much the slowest round of a floor may take of the fastest: beyond, the machine was not the same throughout.
const drifted = 2

// drift says which floors were not the same throughout the run.
func (f *floors) drift() (all []string) {
	for _, s := range f.series() {
		if m := s.Summary.Medians; m[0] > 0 && m[2]/m[0] > drifted {
			all = append(all, fmt.Sprintf("the floor %q was between %s and %s: the machine was not equally fast throughout",
				s.Name, result.Figure(m[0], s.Unit), result.Figure(m[2], s.Unit)))
		}
	}
	return all
}

// serveFloor is the part that is the floor's server.
func serveFloor(_ context.Context, args []string, in *os.File, out *os.File) error {
	if len(args) != 2 {
		return errors.New("want a path and a kind")
	}
	return floor.Serve(args[0], args[1], in, out)
}
