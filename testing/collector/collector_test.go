// Package collector holds the export of traces against a real receiver: that of the OpenTelemetry collector. It is a module of
// its own, since nothing of the collector is to be in the graph of the product.
package collector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
	"github.com/sandtree/sandtree/supervisor/instruments"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// receive starts the collector's receiver and gives the address of its OTLP by that protocol, and where what comes goes.
func receive(t *testing.T, protocol string) (endpoint string, got *consumertest.TracesSink) {
	t.Helper()
	got = &consumertest.TracesSink{}
	factory := otlpreceiver.NewFactory()
	for {
		address := free(t)
		c := factory.CreateDefaultConfig().(*otlpreceiver.Config)
		if protocol == instruments.ProtocolGRPC {
			c.Protocols.GRPC.GetOrInsertDefault().NetAddr.Endpoint = address
		} else {
			c.Protocols.HTTP.GetOrInsertDefault().ServerConfig.NetAddr.Endpoint = address
		}
		r, err := factory.CreateTraces(t.Context(), receivertest.NewNopSettings(component.MustNewType("otlp")), c, got)
		if err != nil {
			t.Fatal(err)
		}
		err = r.Start(context.Background(), componenttest.NewNopHost())
		if errors.Is(err, syscall.EADDRINUSE) { // somebody has taken it meanwhile
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := r.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return "http://" + address, got
	}
}

func free(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", need.Port(t))
}

// open opens a System with sandboxes on this machine, of which nothing is left after the test.
func open(t *testing.T, tracer *supervisor.Tracer, log *slog.Logger) *supervisor.System {
	t.Helper()
	dir, err := os.MkdirTemp("", "st") // short, for the sockets below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d, err := local.New(local.Config{StateDir: dir, Sandboxd: sandboxdtest.Binary(t), Environ: []string{"PATH=" + os.Getenv("PATH")}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := supervisor.Open(t.Context(), supervisor.Config{
		StateDir: dir, Drivers: map[string]backends.Driver{"local": d}, Tracer: tracer, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A received span, with the service that it came from.
type received struct {
	ptrace.Span
	service string
}

// spans are those of the trace that has a span of that name, by name.
func spans(t *testing.T, got *consumertest.TracesSink, name string) map[string]received {
	t.Helper()
	var all []received
	for _, traces := range got.AllTraces() {
		for _, of := range traces.ResourceSpans().All() {
			service, _ := of.Resource().Attributes().Get("service.name")
			for _, scope := range of.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					all = append(all, received{span, service.Str()})
				}
			}
		}
	}
	by := map[string]received{}
	for _, first := range all {
		if first.Name() != name {
			continue
		}
		for _, s := range all {
			if s.TraceID() == first.TraceID() {
				by[s.Name()] = s
			}
		}
		return by
	}
	t.Fatalf("of %d spans none is %s", len(all), name)
	return nil
}

// lines is a log for several goroutines.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// One trace goes from the caller over the actors and the transport to the server in the sandbox and the command, as the
// collector sees it, and a line of the log has its id.
func TestTheCollectorSeesOneTrace(t *testing.T) {
	for _, protocol := range []string{instruments.ProtocolHTTP, instruments.ProtocolGRPC} {
		t.Run(protocol, func(t *testing.T) { seesOneTrace(t, protocol) })
	}
}

func seesOneTrace(t *testing.T, protocol string) {
	leak.Check(t)
	endpoint, got := receive(t, protocol)
	traces, err := instruments.OpenTraces(instruments.TracesConfig{Endpoint: endpoint, Protocol: protocol, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	defer traces.Close(context.Background())
	var log lines
	s := open(t, traces.Tracer(), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	rt, err := s.Runtime(t.Context(), sandbox.Spec{ID: "a", Setup: sandbox.Setup{Env: map[string]string{"A": "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Run(t.Context(), "exit_with() { return 3; }; exit_with", nil); err != nil {
		t.Fatal(err)
	}
	if err := rt.Kill(t.Context()); err != nil {
		t.Error(err)
	}
	if err := traces.Close(t.Context()); err != nil { // sends what waits
		t.Fatal(err)
	}

	by := spans(t, got, "supervisor.do")
	below := func(by map[string]received, service string, names ...string) {
		t.Helper()
		for i, name := range names {
			span, ok := by[name]
			if !ok {
				t.Fatalf("there is no span %s", name)
			}
			if i > 0 && span.ParentSpanID() != by[names[i-1]].SpanID() {
				t.Errorf("%s is not below %s", name, names[i-1])
			}
			if i > 0 && i == len(names)-1 && span.service != service {
				t.Errorf("%s is of the service %s", name, span.service)
			}
		}
	}
	below(by, "sandboxd", "supervisor.do", "actor.perform", "transport.attempt", "sandboxd.action", "process")
	below(by, "sandtree", "supervisor.do", "actor.wait")
	if p := by["supervisor.do"].ParentSpanID(); !p.IsEmpty() {
		t.Errorf("the first span is below %s", p)
	}
	if code, _ := by["process"].Attributes().Get("exit_code"); code.Str() != "3" {
		t.Errorf("the exit code is %q", code.Str())
	}
	if id := by["supervisor.do"].TraceID().String(); !strings.Contains(log.b.String(), "trace_id="+id) {
		t.Errorf("no line of the log has the id %s:\n%s", id, log.b.String())
	}

	by = spans(t, got, "supervisor.open")
	below(by, "sandtree", "supervisor.open", "runtime.start", sandbox.PhasePlace, sandbox.PhaseBoot)
	below(by, "sandtree", "runtime.start", sandbox.PhaseSetUp, "transport.attempt")
}
