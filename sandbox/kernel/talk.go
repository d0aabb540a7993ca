package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"syscall"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

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

// endTime is how long a kernel that has closed a connection may take to end: a Python takes tenths of a second, on a machine that
// has more to do than it can some seconds.
const endTime = 15 * time.Second

// lose ends a kernel that has closed a connection. One that is ending does that too, and is given the time for it.
func (p *process) lose(err error) {
	why := "what it said was no message of a kernel, and so it was killed"
	if !errors.Is(err, errProtocol) {
		select {
		case <-p.child.Done():
			return
		case <-time.After(endTime):
			why = "it closed a connection and did not end, and so it was killed"
		}
	}
	p.put.Store(&why)
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

// A payload is what a kernel wants shown besides its output.
type payload struct {
	Source string `json:"source"`
	Data   struct {
		Text string `json:"text/plain"`
	} `json:"data"`
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
		Payload few[payload] `json:"payload"`
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
