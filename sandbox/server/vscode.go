package server

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/child"
)

// VSCode says how VS Code is to be served, if the plugin of that name is asked for.
type VSCode struct {
	Port     int    // at all addresses, as launchers publish it; 0 is none, and Off says why
	Off      string // why there is to be none
	Root     string // where openvscode-server is installed; "" looks in the usual places
	BasePath string // before the paths of its pages; "" is none
	Folder   string // that it opens; "" is Dir
	Settings string // directory that gets .vscode/settings.json, unless it has one; "" none
}

// An editor is the VS Code of the sandbox.
type editor struct {
	s *Server

	mu    sync.Mutex
	token string // that its pages ask for; "" unless it is ready
	state string // off, starting, ready
	why   string // it is off
	child *child.Child
	out   *os.File // what it prints; closed by watch

	watching sync.WaitGroup
	decided  chan struct{} // closed when it is ready or off for good
	once     sync.Once
}

// lastWords is how long the rest of what VS Code has printed is waited for when it has been ended.
const lastWords = 100 * time.Millisecond

func newEditor(s *Server) *editor { return &editor{s: s, state: "off", decided: make(chan struct{})} }

// start starts VS Code if it was asked for. What keeps it off is logged and told by vscodeState; it is no error of the
// server's.
func (e *editor) start() {
	if !e.s.config.has("vscode") {
		e.off("it was not asked for")
		return
	}
	if err := e.launch(); err != nil {
		e.s.log.Warn("there is no VS Code", "err", err)
		e.off(err.Error())
	}
}

func (e *editor) off(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state, e.why, e.token = "off", why, ""
	e.once.Do(func() { close(e.decided) })
}

func (e *editor) launch() error {
	c := e.s.config.VSCode
	if c.Port == 0 {
		return errors.New(c.Off)
	}
	program, err := findEditor(c.Root, e.s.config.Env)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", fmt.Sprintf(":%d", c.Port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("VSCODE_PORT: somebody listens at port %d already: choose another", c.Port)
	} else if err != nil {
		return fmt.Errorf("VSCODE_PORT: %w", err)
	}
	ln.Close()
	token := uuid4()
	secret, err := secretFile(token)
	if err != nil {
		return err
	}
	defer secret.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	out, said, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	if err := e.writeSettings(c.Settings); err != nil {
		e.s.log.Warn("the settings of VS Code", "err", err)
	}
	cmd := program.command(c, e.s.config.Dir, token, e.s.config.environment())
	cmd.Files = []*os.File{null, said, said, secret}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.child, err = child.Start(e.s.childConfig(), cmd); err != nil {
		out.Close()
		return fmt.Errorf("start %s: %w", program.path, err)
	}
	e.state, e.out = "starting", out
	e.watching.Go(func() { e.watch(out, token) })
	return nil
}

// watch reads what VS Code prints until it ends, and learns from it that it is ready.
func (e *editor) watch(out *os.File, token string) {
	defer out.Close()
	last := ""
	for lines := bufio.NewReaderSize(out, 4096); ; {
		b, _, err := lines.ReadLine() // a longer line comes in pieces, which is as good
		if err != nil {
			break
		}
		line := strings.ToValidUTF8(string(b), "?")
		e.s.log.Debug("VS Code", "line", strings.ReplaceAll(line, token, "…"))
		if strings.TrimSpace(line) != "" {
			last = strings.ReplaceAll(line, token, "…")
		}
		// openvscode-server: "Web UI available at http://…"; code-server: "HTTP server listening on http://…"
		if strings.Contains(line, " available at ") || strings.Contains(line, " listening on ") {
			e.ready(token)
		}
	}
	exit := e.child.Exit()
	if e.s.life.Err() == nil {
		e.s.log.Warn("VS Code has ended", "code", exit.Code, "signal", exit.Signal, "last", last)
	}
	e.off(fmt.Sprintf("it ended with code %d; the last that it said: %.200s", exit.Code, last))
}

func (e *editor) ready(token string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state == "starting" {
		e.state, e.token = "ready", token
		e.s.log.Info("VS Code is ready", "port", e.s.config.VSCode.Port)
	}
	e.once.Do(func() { close(e.decided) })
}

// Close ends it.
func (e *editor) Close() error {
	e.mu.Lock()
	running := e.child
	e.mu.Unlock()
	if running == nil {
		return nil
	}
	err := running.Close()
	_ = e.out.SetReadDeadline(time.Now().Add(lastWords)) // a process that got away may hold the other end
	e.watching.Wait()
	return err
}

func (s *Server) vscodeState() (state, why string) {
	e := s.editor
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state, e.why
}

// vscodeToken answers with what a browser must bring to VS Code; null if there is none.
func (s *Server) vscodeToken(ctx *fasthttp.RequestCtx) {
	e := s.editor
	e.mu.Lock()
	defer e.mu.Unlock()
	var answer struct {
		Token *string `json:"token"`
	}
	if e.token != "" {
		answer.Token = &e.token
	}
	answerJSON(ctx, fasthttp.StatusOK, answer)
}

// secretFile is a file without a name that holds the text, to be read by whoever gets the descriptor: an argument is seen
// by all.
func secretFile(text string) (*os.File, error) {
	fd, err := unix.MemfdCreate("token", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "token")
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
