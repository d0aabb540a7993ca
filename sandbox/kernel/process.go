package kernel

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
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
	put                   atomic.Pointer[string] // why we put an end to it; nil if we did not
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
	case e.Signal == syscall.SIGKILL && p.put.Load() != nil:
		return *p.put.Load()
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
