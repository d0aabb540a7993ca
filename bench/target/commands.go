package target

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/shell"
	"mvdan.cc/sh/v3/syntax"

	"github.com/sandtree/sandtree/sandbox"
)

// Commands is a system that runs a process for each command, whatever that process is: on this machine, in a container, on
// another machine. Of a runtime it knows a directory alone.
type Commands struct {
	about About
	wrap  func(line string) []string // the program and its arguments that run a line of the shell
	there string                     // why its runtimes are there already; "" if a start means something
}

// Exec runs each command as a process of its own on this machine, by bash.
func Exec() *Commands {
	return &Commands{about: About{Name: "exec", Kind: "exec"}, wrap: func(line string) []string { return []string{"bash", "-c", line} },
		there: "a process has nothing that starts before it"}
}

// DockerExec runs each command by docker exec in a container that runs. program is docker, or what has its command line.
func DockerExec(program, container string) *Commands {
	return &Commands{
		about: About{Name: program + " exec", Kind: "docker", Settings: map[string]string{"container": container}},
		wrap:  func(line string) []string { return []string{program, "exec", "-i", container, "sh", "-c", line} },
		there: "the container runs already",
	}
}

// Template runs each command by a command line in which {command} is replaced by it: as one argument, or within one. Without it, the command
// is the last argument. Code: Invalid.
func Template(line string) (*Commands, error) {
	words, err := shell.Fields(line, func(string) string { return "" })
	if err == nil && len(words) == 0 {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "command " + strconv.Quote(line), Err: err}
	}
	const place = "{command}"
	if !strings.Contains(line, place) {
		words = append(words, place)
	}
	return &Commands{
		about: About{Name: words[0], Kind: "command", Settings: map[string]string{"command": line}},
		wrap: func(line string) []string {
			all := make([]string, len(words))
			for i, w := range words {
				all[i] = strings.ReplaceAll(w, place, line)
			}
			return all
		},
		there: "what the command line reaches is there already",
	}, nil
}

// About says what it is.
func (c *Commands) About() About { return c.about }

// Standing says why starts mean nothing.
func (c *Commands) Standing() string { return c.there }

// Close has nothing to end.
func (c *Commands) Close(context.Context) error { return nil }

// Start makes a directory.
func (c *Commands) Start(ctx context.Context, w Wish) (Runtime, error) {
	if w != (Wish{}) {
		return nil, unsupported("start", c.about.Name+" has no runtimes that rest, nor snapshots")
	}
	out, code, err := c.run(ctx, "mktemp -d", nil)
	dir := strings.TrimSpace(string(out))
	switch {
	case err != nil:
	case code != 0:
		err = fmt.Errorf("it cannot run \"mktemp -d\": exit code %d: %.200s", code, cmp.Or(dir, "it printed nothing"))
	case !strings.HasPrefix(dir, "/"):
		err = fmt.Errorf("it was to run \"mktemp -d\", which prints the path of a directory, and printed %.200q: it must hand the command to a shell", dir)
	}
	if err != nil {
		return nil, &sandbox.Error{Code: sandbox.Unavailable, Op: c.about.Name, Err: err}
	}
	return &place{commands: c, dir: dir}, nil
}

// run runs a line. That it fails is no error; that the program cannot be started is.
func (c *Commands) run(ctx context.Context, line string, stdin io.Reader) (out []byte, code int, err error) {
	words := c.wrap(line)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	cmd.Dir = os.TempDir()
	err = cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); exited && ctx.Err() == nil {
		if stdout.Len() == 0 {
			return stderr.Bytes(), cmd.ProcessState.ExitCode(), nil
		}
		return stdout.Bytes(), cmd.ProcessState.ExitCode(), nil
	}
	return stdout.Bytes(), 0, err
}

// place is a runtime: a directory.
type place struct {
	commands *Commands
	dir      string
}

func (p *place) ID() string { return p.dir }

// Run runs a line of the shell in the directory.
func (p *place) Run(ctx context.Context, command string) (Seen, error) {
	out, code, err := p.commands.run(ctx, p.within(command), nil)
	return Seen{Output: string(out), Exit: code}, err
}

func (p *place) within(command string) string {
	return "cd " + quote(p.dir) + " && { " + command + "\n}"
}

// Stop removes the directory.
func (p *place) Stop(ctx context.Context) error {
	return p.must(context.WithoutCancel(ctx), "rm -rf "+quote(p.dir), nil)
}

func (p *place) must(ctx context.Context, line string, stdin io.Reader) error {
	out, code, err := p.commands.run(ctx, line, stdin)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s: exit code %d: %.200s", line, code, out)
	}
	return err
}

// Write has a file written from the standard input, then put in its place.
func (p *place) Write(ctx context.Context, path string, content []byte) error {
	name := quote(path)
	return p.must(ctx, p.within("cat >"+name+".new && mv "+name+".new "+name), bytes.NewReader(content))
}

// Read has a file written to the standard output.
func (p *place) Read(ctx context.Context, path string) (int64, error) {
	out, code, err := p.commands.run(ctx, p.within("cat "+quote(path)), nil)
	if err == nil && code != 0 {
		err = fmt.Errorf("cat %s: exit code %d: %.200s", path, code, out)
	}
	return int64(len(out)), err
}

// quote makes one word of the shell.
func quote(s string) string {
	q, err := syntax.Quote(s, syntax.LangPOSIX)
	if err != nil {
		return "''" // it has a NUL byte, which no path has
	}
	return q
}
