// Package mcp gathers the tool servers of a sandbox (Model Context Protocol) behind one endpoint: their tools, prompts
// and resources appear as those of one server.
//
// A Hub holds the configured servers: programs that speak over their standard input and output, and servers elsewhere,
// reached over HTTP in its older (SSE) or its newer (streamable) form. None is started before somebody asks for a list or
// a tool. One that ends is started again after a growing pause; meanwhile it keeps its place in the lists, and whoever
// calls it is told at once why it is away. Replacing the configuration leaves the servers that are the same alone.
//
// The Hub's own end is a server of the official SDK that mirrors what the others offer. It is served over HTTP in both
// forms by a net/http server that listens nowhere: Dial gives connections to it.
//
// With a single server tools and prompts keep their names; with several they are called SERVER_NAME. Resources keep their
// URIs, because results refer to them.
//
// Tool servers run with the rights of the sandbox's user and what they say is not trusted: its size is bounded. Whoever
// may dial may call every tool: guarding the way there is the caller's work.
package mcp

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sandtree/sandtree/internal/child"
	"github.com/sandtree/sandtree/sandbox"
)

// Config is what a Hub needs.
type Config struct {
	Child   func() child.Config // how programs are started
	Env     func() []string     // whole environment of programs, KEY=VALUE, before their own
	Dir     func() string       // where they start; nil is "/"
	Version string              // that the Hub gives as its own
	Guarded bool                // whoever comes by Dial has brought a key, so that no browser's page can be the one who asks
	Log     *slog.Logger        // nil discards
}

const (
	maxServers = 64       // configured
	maxItems   = 4096     // tools of one server; prompts, resources and templates alike
	maxPages   = 32       // of a list
	maxOffered = 8 << 20  // bytes of JSON of a list: a hundred tools have some 100 KB
	maxMessage = 16 << 20 // bytes of one message, from either side: what the SDK takes from a program by default
	stderrTail = 4 << 10  // bytes kept of what a program wrote last to its standard error

	startTime  = 2 * time.Minute  // for a server to come up: its launcher may have to download it first
	gatherTime = 20 * time.Second // that a list waits for servers which are starting: clients give up after 30 s
)

// A Hub is the servers of one sandbox. Safe for concurrent use.
type Hub struct {
	config Config
	log    *slog.Logger
	life   context.Context // ends with Close
	end    context.CancelFunc
	work   sync.WaitGroup // the upstreams' goroutines, and those that serve
	http   httpSide
	logs   logs

	replacing sync.Mutex // held while the configuration changes; before mu

	mu     sync.Mutex
	server *sdk.Server // nil before anything was asked for
	names  mirrors
	ups    []*upstream // by name
	calls  progresses
	closed bool
}

// New makes a Hub of the servers given. It starts nothing. Code: Invalid.
func New(c Config, servers []Server) (*Hub, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	h := &Hub{config: c, log: c.Log}
	h.life, h.end = context.WithCancel(context.Background())
	servers, err := checked(servers)
	if err != nil {
		return nil, err
	}
	for _, s := range servers {
		h.ups = append(h.ups, newUpstream(h, s))
	}
	return h, nil
}

// Replace puts other servers in the place of those configured. The ones that stay as they are go on with what they do;
// those that are gone or have changed are ended, calls under way included, before it returns. Clients that are connected
// are told that the lists have changed. Codes: Invalid, Unavailable (closed).
func (h *Hub) Replace(servers []Server) error {
	servers, err := checked(servers)
	if err != nil {
		return err
	}
	h.replacing.Lock()
	defer h.replacing.Unlock()
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return errClosed()
	}
	old, ups := h.ups, make([]*upstream, 0, len(servers))
	for _, s := range servers {
		i := slices.IndexFunc(old, func(u *upstream) bool { return u.config.equal(s) })
		if i >= 0 {
			ups = append(ups, old[i])
			old = slices.Delete(slices.Clone(old), i, i+1)
		} else {
			ups = append(ups, newUpstream(h, s))
		}
	}
	h.ups = ups
	h.mirrorLocked()
	watched := h.watchedLocked()
	h.mu.Unlock()
	var wg sync.WaitGroup
	for _, u := range old {
		wg.Go(u.close)
	}
	wg.Wait()
	if watched { // they are waiting to be told what there is now
		for _, u := range ups {
			u.begin()
		}
	}
	return nil
}

// watchedLocked says whether a client is connected.
func (h *Hub) watchedLocked() bool {
	if h.server != nil {
		for range h.server.Sessions() {
			return true
		}
	}
	return false
}

// upstreams are those configured now.
func (h *Hub) upstreams() []*upstream {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ups)
}

// gather starts all servers and waits until each has come up or failed to, or gatherTime is over, or ctx. Those that
// come later are made known to the clients that are connected then.
func (h *Hub) gather(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, gatherTime)
	defer cancel()
	ups := h.upstreams()
	for _, u := range ups {
		u.begin()
	}
	for _, u := range ups {
		u.tried(ctx)
	}
}

// Close ends every server and every client's connection. It may be called again.
func (h *Hub) Close() error {
	h.mu.Lock()
	first := !h.closed
	h.closed = true
	ups := h.ups
	h.mu.Unlock()
	if first {
		h.end()
		h.http.close()
		var wg sync.WaitGroup
		for s := range h.front().Sessions() { // whose requests end with h.life
			wg.Go(func() { closeSession(s) })
		}
		for _, u := range ups {
			wg.Go(u.close)
		}
		wg.Wait()
	}
	h.work.Wait()
	return nil
}

func errClosed() error {
	return &sandbox.Error{Code: sandbox.Unavailable, Op: "mcp", Err: errors.New("the server of the sandbox is stopping: ask the next one")}
}
