package mcp

import (
	"context"
	"slices"
	"sync"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// The protocol of 2026-07-28 gives up log messages. The protocols that are spoken here have them, hence:
//
//lint:file-ignore SA1019 log messages belong to the protocols spoken here

// logs is how much the servers are to say.
type logs struct {
	mu    sync.Mutex
	level sdk.LoggingLevel // the most talkative that a client has asked for; "" none has
}

// levels are those of RFC 5424, the most talkative first.
var levels = []sdk.LoggingLevel{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

// abilities are what the Hub claims before it knows its servers: sessions outlast a configuration.
func abilities() *sdk.ServerCapabilities {
	return &sdk.ServerCapabilities{
		Logging:   &sdk.LoggingCapabilities{},
		Tools:     &sdk.ToolCapabilities{ListChanged: true},
		Prompts:   &sdk.PromptCapabilities{ListChanged: true},
		Resources: &sdk.ResourceCapabilities{ListChanged: true, Subscribe: true},
	}
}

// hasLevel says whether a server's messages have a level that can be set.
func hasLevel(c *sdk.ServerCapabilities) bool { return c.Logging != nil }

// hear passes a server's messages on to the clients, each of which has said from which level on it wants them.
func (h *Hub) hear(u *upstream, o *sdk.ClientOptions) {
	o.LoggingMessageHandler = func(_ context.Context, r *sdk.LoggingMessageRequest) {
		m := *r.Params
		if m.Logger == "" {
			m.Logger = u.config.Name
		} else {
			m.Logger = u.config.Name + "/" + m.Logger
		}
		u.pass(func() {
			for s := range h.front().Sessions() {
				_ = s.Log(u.life, &m)
			}
		})
	}
}

// asked has all servers say as much as the client wants that wants most, if that is what a client has asked for.
func (l *logs) asked(ctx context.Context, h *Hub, params sdk.Params) {
	p, ok := params.(*sdk.SetLoggingLevelParams)
	if !ok || p == nil {
		return
	}
	l.mu.Lock()
	rank := slices.Index(levels, p.Level)
	if rank < 0 || l.level != "" && slices.Index(levels, l.level) <= rank {
		l.mu.Unlock()
		return
	}
	l.level = p.Level
	l.mu.Unlock()
	for _, u := range h.upstreams() {
		if s := u.running(); s != nil {
			l.restore(ctx, u, s)
		}
	}
}

// restore tells a server the level.
func (l *logs) restore(ctx context.Context, u *upstream, s *sdk.ClientSession) {
	l.mu.Lock()
	level := l.level
	l.mu.Unlock()
	if level != "" && u.offered().logs {
		_ = s.SetLoggingLevel(ctx, &sdk.SetLoggingLevelParams{Level: level})
	}
}
