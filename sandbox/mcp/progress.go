package mcp

import (
	"context"
	"fmt"
	"maps"
	"sync"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// progresses are the calls under way whose clients want to hear how far they have come. A client's token is unique among
// its own calls only, so a server gets one of ours.
type progresses struct {
	mu    sync.Mutex
	last  uint64
	calls map[string]progress
}

type progress struct {
	ctx     context.Context // of the client's request, which the news travel with; ends with it
	session *sdk.ServerSession
	token   any // the client's
}

const progressToken = "progressToken"

// begin notes a call and gives the _meta to send with it. done is to be called when it is over.
func (p *progresses) begin(ctx context.Context, s *sdk.ServerSession, meta sdk.Meta) (ours sdk.Meta, done func()) {
	token, ok := meta[progressToken]
	if !ok || s == nil {
		return maps.Clone(meta), func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	name := fmt.Sprintf("sandtree-%d", p.last)
	if p.calls == nil {
		p.calls = map[string]progress{}
	}
	p.calls[name] = progress{ctx, s, token}
	ours = maps.Clone(meta)
	ours[progressToken] = name
	return ours, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.calls, name)
	}
}

// tell passes a server's news on to the client that they are for, if it still waits.
func (c *progresses) tell(p *sdk.ProgressNotificationParams) {
	name, _ := p.ProgressToken.(string)
	c.mu.Lock()
	call, ok := c.calls[name]
	c.mu.Unlock()
	if !ok {
		return
	}
	news := *p
	news.ProgressToken = call.token
	_ = call.session.NotifyProgress(call.ctx, &news) // a client that has gone misses nothing
}
