package instruments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
)

// TracesConfig says where traces go.
type TracesConfig struct {
	// Endpoint is the URL of what takes OTLP, as "http://localhost:4318"; without a path that is /v1/traces. Over gRPC it has no path, as
	// "http://localhost:4317"; https is TLS.
	Endpoint string
	Protocol string            // "http/protobuf" or "grpc", as OTEL_EXPORTER_OTLP_PROTOCOL has it; "" is the first
	Sample   float64           // share of the traces that begin here, more than 0 to 1; 0 means 1
	Headers  map[string]string // of every request; secret
	Version  string            // of the program
	Log      *slog.Logger      // nil discards
}

// The protocols that traces are exported by.
const (
	ProtocolHTTP = "http/protobuf"
	ProtocolGRPC = "grpc"
)

const (
	queued     = 4096 // spans that wait: some hundred actions; beyond them they are dropped, for nothing waits for an exporter
	batch      = 512  // spans in one request
	linger     = time.Second
	exportTime = 10 * time.Second // for a request
)

// Traces exports spans by OTLP. It has one goroutine, and is to be closed.
type Traces struct {
	tracer *supervisor.Tracer
	post   *exporter
	log    *slog.Logger

	queue   chan supervisor.Span
	closing chan struct{}
	ended   chan struct{}
	once    sync.Once
	cut     context.CancelFunc // ends the request in progress

	exported, dropped, failed atomic.Uint64 // spans
}

// OpenTraces begins to export; it does not connect before there is something to send. Code: Invalid, naming the field.
func OpenTraces(c TracesConfig) (*Traces, error) {
	fail := func(field string, err error) (*Traces, error) {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "instruments.OpenTraces", Err: fmt.Errorf("%s: %w", field, err)}
	}
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil: // whose text would show the whole, a password too
		return fail("Endpoint", errors.New("it is no URL"))
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fail("Endpoint", errors.New("want http:// or https:// with a host, as in http://localhost:4318"))
	case c.Protocol != "" && c.Protocol != ProtocolHTTP && c.Protocol != ProtocolGRPC:
		return fail("Protocol", fmt.Errorf("want %q or %q, have %q", ProtocolHTTP, ProtocolGRPC, c.Protocol))
	case c.Protocol == ProtocolGRPC && (strings.Trim(u.Path, "/") != "" || u.RawQuery != ""):
		return fail("Endpoint", errors.New("over gRPC it has no path, as in http://localhost:4317"))
	case c.Sample < 0 || c.Sample > 1:
		return fail("Sample", fmt.Errorf("want 0 to 1, have %v", c.Sample))
	}
	if c.Sample == 0 {
		c.Sample = 1
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	t := &Traces{log: c.Log, queue: make(chan supervisor.Span, queued), closing: make(chan struct{}), ended: make(chan struct{})}
	t.post = newExporter(c, u)
	t.tracer = supervisor.NewTracer(c.Sample, t.take)
	life, cut := context.WithCancel(context.Background())
	t.cut = cut
	go t.export(life)
	return t, nil
}

// Tracer is for supervisor.Config; nil of a nil Traces.
func (t *Traces) Tracer() *supervisor.Tracer {
	if t == nil {
		return nil
	}
	return t.tracer
}

// take is the tracer's sink.
func (t *Traces) take(s supervisor.Span) {
	select {
	case t.queue <- s:
	default:
		t.dropped.Add(1)
	}
}

// Close sends what waits and ends the export; spans that come later are dropped. When ctx ends, what has not been sent is
// not. Idempotent. Code: Canceled.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	t.once.Do(func() { close(t.closing) })
	defer t.post.client.CloseIdleConnections()
	select {
	case <-t.ended:
		return nil
	case <-ctx.Done():
	}
	t.cut()
	<-t.ended
	return &sandbox.Error{Code: sandbox.Canceled, Op: "instruments.Traces.Close", Err: context.Cause(ctx)}
}

// export sends batches until Close.
func (t *Traces) export(ctx context.Context) {
	defer close(t.ended)
	defer t.cut()
	well := true
	for {
		spans := t.next()
		if len(spans) == 0 {
			return
		}
		err := t.post.send(ctx, spans)
		if err != nil {
			t.failed.Add(uint64(len(spans)))
		} else {
			t.exported.Add(uint64(len(spans)))
		}
		if (err == nil) != well { // told once, not for each batch
			if well = err == nil; well {
				t.log.Info("traces are exported again", "endpoint", t.post.shown)
			} else {
				t.log.Warn("traces cannot be exported", "endpoint", t.post.shown, "err", err)
			}
		}
	}
}

// next waits for a batch; none means that the end has come.
func (t *Traces) next() (spans []supervisor.Span) {
	var due <-chan time.Time
	closing := t.closing
	for len(spans) < batch {
		select {
		case s := <-t.queue:
			if spans = append(spans, s); due == nil {
				timer := time.NewTimer(linger)
				defer timer.Stop()
				due = timer.C
			}
			continue
		case <-due:
			return spans
		case <-closing:
		}
		for len(spans) < batch { // what is there, and no more
			select {
			case s := <-t.queue:
				spans = append(spans, s)
				continue
			default:
			}
			return spans
		}
	}
	return spans
}
