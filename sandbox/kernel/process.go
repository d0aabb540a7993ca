package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/sandbox"
)

// A process is a kernel that runs: from newProcess until dead is closed it has goroutines of its own.
type process struct {
	launch     *launch
	child      *child.Child
	printed    *os.File // what the program itself prints
	word       *os.File // where boot.py says that it is ready
	executable string   // a Python's sys.executable
	session    string   // ours, in the ids of requests
	begun      time.Time

	shell, iopub, control *peer
	readers               sync.WaitGroup // of the sockets
	tail                  *tail
	linked                chan struct{} // closed when the sockets are connected and read, or will not be
	gone                  chan struct{} // closed when all processes have ended
	dead                  chan struct{} // closed when the goroutines have ended too
	stopped               sync.Once
	closeErr              error

	sending sync.Mutex // order: sending, mu
	signer  signer     // of what is sent
	sent    uint64     // requests

	mu       sync.Mutex
	cell     *cell // the one waited for
	cells    int
	running  string          // id of the cell that the kernel performs; "" none
	unwanted map[string]bool // ids of cells to be interrupted when they begin
}

func newProcess(l *launch, c *child.Child, printed, word *os.File) *process {
	p := &process{launch: l, child: c, printed: printed, word: word, session: sandbox.RandomHex(8), begun: time.Now(), signer: newSigner(l.conn.Key),
		tail: newTail(printed), linked: make(chan struct{}), unwanted: map[string]bool{}, gone: make(chan struct{}), dead: make(chan struct{})}
	go p.watch() // ends with the program, which close kills
	return p
}

// watch waits for the end of the program, ends what it has left, and lets the readers come to the end of what it wrote.
func (p *process) watch() {
	<-p.child.Done()
	p.closeErr = p.child.Close()
	close(p.gone)
	<-p.linked
	const patience = time.Second // for the readers, should somebody who got away hold a socket
	until := time.Now().Add(patience)
	_ = p.printed.SetReadDeadline(until)
	peers := []*peer{p.shell, p.iopub, p.control}
	for _, peer := range peers {
		if peer != nil {
			_ = peer.conn.SetReadDeadline(until)
		}
	}
	p.readers.Wait()
	<-p.tail.done
	for _, peer := range peers {
		if peer != nil {
			peer.conn.Close()
		}
	}
	p.printed.Close()
	p.word.Close()
	close(p.dead)
}

// close ends the kernel with all that it has started. It may be called again.
func (p *process) close() error {
	p.stopped.Do(func() { _ = p.child.Close() })
	<-p.dead
	names := []string{p.launch.id + ".json"}
	for i := range channels {
		names = append(names, fmt.Sprintf("%s-%d", p.launch.id, i+1))
	}
	p.launch.dir.drop(names...)
	return p.closeErr
}

// listen starts reading what the kernel says.
func (p *process) listen() {
	p.readers.Go(func() { p.read(p.iopub, p.hear) })
	p.readers.Go(func() { p.read(p.shell, p.answered) })
	p.readers.Go(func() { p.read(p.control, func(message) {}) })
}

// read reads messages until the connection ends, which ends the kernel: without it is of no use.
func (p *process) read(from *peer, take func(message)) {
	signer := newSigner(p.launch.conn.Key)
	for {
		frames, left, err := from.receive()
		if err != nil {
			p.lose(err)
			return
		}
		if m, err := signer.read(frames, left); err == nil { // others are nobody's: the code of the sandbox may write any
			take(m)
		}
	}
}

// lose ends a kernel that has closed a connection. One that is ending does that too, and is given the time for it.
func (p *process) lose(err error) {
	if !errors.Is(err, errProtocol) {
		const grace = 2 * time.Second
		select {
		case <-p.child.Done():
			return
		case <-time.After(grace):
		}
	}
	_ = p.child.Signal(syscall.SIGKILL, false)
}

// hear takes what the kernel publishes.
func (p *process) hear(m message) {
	var status struct {
		State string `json:"execution_state"`
	}
	if m.Type == "status" {
		_ = json.Unmarshal(m.Content, &status)
	}
	p.mu.Lock()
	c := p.cell
	mine := c != nil && c.id == m.Parent
	interrupt := false
	switch {
	case m.Type == "execute_input":
		p.running = m.Parent
		interrupt = p.unwanted[m.Parent]
	case status.State == "idle":
		delete(p.unwanted, m.Parent)
		if p.running == m.Parent {
			p.running = ""
		}
	}
	p.mu.Unlock()
	if interrupt {
		_ = p.signal()
	}
	if !mine {
		return
	}
	if status.State != "idle" {
		c.take(m)
		return
	}
	closeOnce(c.idle)
}

// answered takes an answer of the shell channel.
func (p *process) answered(m message) {
	p.mu.Lock()
	c := p.cell
	p.mu.Unlock()
	if c == nil || c.id != m.Parent {
		return
	}
	var reply struct {
		Payload []struct {
			Source string `json:"source"`
			Data   struct {
				Text string `json:"text/plain"`
			} `json:"data"`
		} `json:"payload"`
	}
	if json.Unmarshal(m.Content, &reply) == nil {
		for _, pay := range reply.Payload {
			if pay.Source == "page" { // what `name?` shows
				c.print(pay.Data.Text)
			}
		}
	}
	closeOnce(c.replied)
}

// closeOnce closes c; only one goroutine closes it.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// meet waits until the kernel answers and its output arrives: what it publishes before it knows of the subscription is lost.
func (p *process) meet(ctx context.Context) error {
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		c := newCell(p.nextID(), nil)
		p.await(c)
		if err := p.send(p.shell, c.id, "kernel_info_request", struct{}{}); err != nil {
			return err
		}
		select {
		case <-c.replied:
		case <-p.gone:
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case <-c.idle:
			p.forget(c)
			return nil
		case <-time.After(wait): // the subscription came too late
		case <-p.gone:
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// await makes c the cell that is waited for.
func (p *process) await(c *cell) {
	p.mu.Lock()
	p.cell = c
	p.mu.Unlock()
}

// count counts a cell.
func (p *process) count() {
	p.mu.Lock()
	p.cells++
	p.mu.Unlock()
}

// forget ends the waiting for c.
func (p *process) forget(c *cell) {
	p.mu.Lock()
	if p.cell == c {
		p.cell = nil
	}
	p.mu.Unlock()
	c.abandon()
}

func (p *process) nextID() string {
	p.sending.Lock()
	defer p.sending.Unlock()
	p.sent++
	return numbered(p.session, p.sent)
}

func (p *process) send(to *peer, id, typ string, content any) error {
	p.sending.Lock()
	defer p.sending.Unlock()
	frames, err := p.signer.request(id, p.session, typ, content)
	if err != nil {
		return err
	}
	_ = to.conn.SetWriteDeadline(time.Now().Add(sendTime))
	return to.send(frames)
}

// sendTime is how long a kernel may take to read a request. ZeroMQ reads at once whatever the kernel does.
const sendTime = 10 * time.Second

// interrupt asks the kernel to give up what it does. Code: Conflict if it does nothing.
func (p *process) interrupt() error {
	p.mu.Lock()
	running := p.running
	waiting := p.cell != nil && p.cell.id != running
	if waiting { // a signal now would come too early: a kernel that is idle ignores it
		p.unwanted[p.cell.id] = true
	}
	p.mu.Unlock()
	switch {
	case running != "":
		return p.signal()
	case waiting:
		return nil
	}
	return nothing()
}

func nothing() error {
	return &sandbox.Error{Code: sandbox.Conflict, Op: "kernel.Interrupt", Err: errors.New("no cell is running")}
}

// signal interrupts the kernel in the way that it wants.
func (p *process) signal() error {
	if p.launch.prog.Mode == "message" {
		return p.send(p.control, p.nextID(), "interrupt_request", struct{}{})
	}
	return p.child.Signal(syscall.SIGINT, true)
}

// explain gives the reason for a start that failed with err.
func (p *process) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case <-p.child.Done():
	case <-time.After(time.Second): // it closed its sockets and lives
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
	if p.launch.prog.ours && p.child.Exit().Code == without {
		return errWithout
	}
	return fmt.Errorf("%s%s", p.ending(), p.tail.lines())
}

// ending says how the program ended.
func (p *process) ending() string {
	switch e := p.child.Exit(); {
	case e.Signal == syscall.SIGKILL:
		return "it was killed (SIGKILL), as the system does when memory runs out"
	case e.Signal != 0:
		return "it was ended by the signal " + strings.TrimPrefix(e.Signal.String(), "signal ")
	default:
		return fmt.Sprintf("it exited with status %d", e.Code)
	}
}

// state is busy, idle or dead, and how many cells it was given.
func (p *process) state() (state string, cells int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gone:
		return "dead", p.cells
	default:
	}
	if p.running != "" || p.cell != nil {
		return "busy", p.cells
	}
	return "idle", p.cells
}
