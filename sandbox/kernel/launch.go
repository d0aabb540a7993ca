package kernel

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/sandbox"
)

const (
	// startTime is how long a kernel may take until it answers. On a small machine with a cold disk a Python takes ten
	// seconds to load ipykernel.
	startTime = time.Minute
	// without is boot.py's exit status where there is no ipykernel: EX_UNAVAILABLE.
	without = 69
)

// errWithout says that a Python has no ipykernel.
var errWithout = errors.New("it has no ipykernel")

// install is what is to be done about that.
const install = "no Python here has ipykernel, which runs cells: install it with `apt-get install python3-ipykernel` or `pip install ipykernel`, " +
	"for a python3 that is on the PATH, and run the cell again"

// channels are a kernel's, in the order in which its sockets are numbered from 1 on.
var channels = [...]string{"shell", "iopub", "stdin", "hb", "control"}

// A connection says where a kernel is to listen.
type connection struct {
	Transport string `json:"transport"` // ipc, or tcp
	IP        string `json:"ip"`        // for ipc what the sockets' names begin with
	Shell     int    `json:"shell_port"`
	IOPub     int    `json:"iopub_port"`
	Stdin     int    `json:"stdin_port"`
	Heartbeat int    `json:"hb_port"`
	Control   int    `json:"control_port"`
	Key       string `json:"key"`
	Scheme    string `json:"signature_scheme"`
	Name      string `json:"kernel_name"`
}

// A launch is the starting of one kernel.
type launch struct {
	dir    *runDir
	id     string // unique in dir
	prog   program
	env    []string
	cwd    string
	skills bool
	config child.Config
	conn   connection
}

// begin starts the program and waits until it answers; the caller closes what it gives. The error is ctx's, errWithout, or
// says how it failed.
func (l *launch) begin(ctx context.Context) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := l.address(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(l.conn)
	if err != nil {
		return nil, err
	}
	if err := l.dir.write(l.id+".json", string(b)); err != nil {
		return nil, err
	}
	p, err := l.spawn()
	if err != nil {
		return nil, err
	}
	if err = l.connect(ctx, p); err == nil {
		p.listen()
	}
	close(p.linked)
	if err == nil {
		err = p.meet(ctx)
	}
	if err != nil {
		err = p.explain(ctx, err)
		_ = p.close()
		return nil, err
	}
	return p, nil
}

// address chooses where the kernel listens. Python's takes sockets in a directory that only its user can enter. Others are
// only known to take ports, which all users of the machine can reach: they must know the key.
func (l *launch) address() error {
	l.conn = connection{Transport: "ipc", IP: l.dir.path + "/" + l.id, Shell: 1, IOPub: 2, Stdin: 3, Heartbeat: 4, Control: 5,
		Key: sandbox.RandomHex(32), Scheme: "hmac-sha256", Name: l.prog.Language}
	if l.prog.ours {
		return nil
	}
	l.conn.Transport, l.conn.IP = "tcp", "127.0.0.1"
	for _, port := range []*int{&l.conn.Shell, &l.conn.IOPub, &l.conn.Stdin, &l.conn.Heartbeat, &l.conn.Control} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close() // all at once, or two ports could be the same
		*port = ln.Addr().(*net.TCPAddr).Port
	}
	return nil
}

// spawn starts the program, with its output and the word that it is ready in pipes.
func (l *launch) spawn() (*process, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	printed, output, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer output.Close()
	word, say, err := os.Pipe()
	if err != nil {
		printed.Close()
		return nil, err
	}
	defer say.Close()
	c, err := child.Start(l.config, l.command(null, output, say))
	if err != nil {
		printed.Close()
		word.Close()
		return nil, err
	}
	return newProcess(l, c, printed, word), nil
}

func (l *launch) command(null, output, say *os.File) child.Command {
	file := l.dir.path + "/" + l.id + ".json"
	cmd := child.Command{Path: l.prog.Argv[0], Env: l.env, Name: "kernel", Files: []*os.File{null, output, output, say}}
	if l.prog.ours {
		cmd.Args = []string{l.prog.Argv[0], l.dir.path + "/" + modules + "/boot.py", file, l.cwd}
		if l.skills {
			cmd.Args = append(cmd.Args, "skills")
		}
		return cmd
	}
	for _, arg := range l.prog.Argv {
		cmd.Args = append(cmd.Args, strings.ReplaceAll(arg, "{connection_file}", file))
	}
	for name, value := range l.prog.Env {
		cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], name+"="+value)
	}
	if st, err := os.Stat(l.cwd); err == nil && st.IsDir() {
		cmd.Dir = l.cwd
	}
	return cmd
}

// connect waits until the kernel listens and connects to it.
func (l *launch) connect(ctx context.Context, p *process) error {
	if l.prog.ours {
		if err := l.awaitWord(ctx, p); err != nil {
			return err
		}
	}
	for _, ch := range []struct {
		name, kind string
		port       int
		to         **peer
	}{{"shell", "DEALER", l.conn.Shell, &p.shell}, {"iopub", "SUB", l.conn.IOPub, &p.iopub}, {"control", "DEALER", l.conn.Control, &p.control}} {
		conn, err := l.dial(ctx, p, ch.port)
		if err != nil {
			return err
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // whoever listens there may say nothing
		*ch.to, err = greet(conn, ch.kind)
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			conn.Close()
			*ch.to = nil
			return fmt.Errorf("the kernel's %s socket: %w", ch.name, cause(ctx, err))
		}
	}
	return nil
}

// awaitWord reads boot.py's word that the sockets are there.
func (l *launch) awaitWord(ctx context.Context, p *process) error {
	stop := context.AfterFunc(ctx, func() { _ = p.word.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	const longest = 64 << 10
	line, err := bufio.NewReader(io.LimitReader(p.word, longest)).ReadBytes('\n')
	if err != nil {
		return cause(ctx, err)
	}
	var says struct {
		Executable string `json:"executable"`
	}
	if err := json.Unmarshal(line, &says); err != nil {
		return err
	}
	p.executable = says.Executable
	return nil
}

// dial connects to one of the kernel's sockets. One that is not ours says nothing when it listens, so that it is tried
// again and again until then.
func (l *launch) dial(ctx context.Context, p *process, port int) (net.Conn, error) {
	if l.conn.Transport == "ipc" {
		return l.dir.dial(fmt.Sprintf("%s-%d", l.id, port), startTime)
	}
	var d net.Dialer
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		conn, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return conn, nil
		}
		select {
		case <-time.After(pause):
		case <-p.child.Done():
			return nil, err
		case <-ctx.Done():
			return nil, cause(ctx, err)
		}
	}
}

// cause is the context's error if that has ended, and err if not.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
