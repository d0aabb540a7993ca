package instruments_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor"
	"github.com/sandtree/sandtree/supervisor/instruments"
	"github.com/sandtree/sandtree/testing/leak"
)

// endpoint is a server of OTLP over HTTP: the slice that we use. The real one is met in testing/collector.
type endpoint struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*collectorpb.ExportTraceServiceRequest
	headers  []http.Header
	answers  []int // of the next requests; 200 when they are used up
}

func newEndpoint(t *testing.T, answers ...int) *endpoint {
	leak.Check(t)
	e := &endpoint{answers: answers}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	var got collectorpb.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(b, &got) != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "no OTLP", http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requests, e.headers = append(e.requests, &got), append(e.headers, r.Header)
	if len(e.answers) > 0 {
		w.WriteHeader(e.answers[0])
		e.answers = e.answers[1:]
	}
}

// spans are how many came with each request.
func (e *endpoint) spans() (n []int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.requests {
		sum := 0
		for _, of := range r.ResourceSpans {
			for _, s := range of.ScopeSpans {
				sum += len(s.Spans)
			}
		}
		n = append(n, sum)
	}
	return n
}

func trace(t *testing.T, e *endpoint, headers map[string]string) *instruments.Traces {
	t.Helper()
	traces, err := instruments.OpenTraces(instruments.TracesConfig{Endpoint: e.URL, Headers: headers})
	if err != nil {
		t.Fatal(err)
	}
	return traces
}

func TestTracesAreSent(t *testing.T) {
	e := newEndpoint(t)
	traces := trace(t, e, map[string]string{"authorization": "Bearer x"})
	tracer := traces.Tracer()
	for range 3 {
		tracer.Begin(t.Context(), "a").End()
	}
	failed := tracer.Begin(supervisor.WithTraceparent(t.Context(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), "b")
	failed.Set("k", "v")
	failed.Done(&sandbox.Error{Code: sandbox.Lost})
	for range 2 {
		if err := traces.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tracer.Begin(t.Context(), "too late").End()
	sum := 0
	for _, n := range e.spans() {
		sum += n
	}
	if sum != 4 || e.headers[0].Get("Authorization") != "Bearer x" {
		t.Errorf("%v spans, %v", e.spans(), e.headers)
	}
	last := e.requests[len(e.requests)-1].ResourceSpans[0]
	span := last.ScopeSpans[0].Spans[len(last.ScopeSpans[0].Spans)-1]
	if span.Status.GetMessage() != "lost" || len(span.ParentSpanId) != 8 || span.Attributes[0].Key != "k" || span.EndTimeUnixNano < span.StartTimeUnixNano {
		t.Errorf("%v", span)
	}
}

// What may pass is met by trying again, and what does not is not.
func TestTracesAreSentAgain(t *testing.T) {
	e := newEndpoint(t, http.StatusServiceUnavailable)
	traces := trace(t, e, nil)
	traces.Tracer().Begin(t.Context(), "a").End()
	if err := traces.Close(t.Context()); err != nil || len(e.spans()) != 2 {
		t.Errorf("%v, %v", e.spans(), err)
	}
	e = newEndpoint(t, http.StatusUnauthorized)
	traces = trace(t, e, nil)
	traces.Tracer().Begin(t.Context(), "a").End()
	if err := traces.Close(t.Context()); err != nil || len(e.spans()) != 1 {
		t.Errorf("%v, %v", e.spans(), err)
	}
}

// Nobody waits for an endpoint that does not answer: neither those whose spans it should get, nor the end.
func TestNobodyWaitsForTheEndpoint(t *testing.T) {
	leak.Check(t)
	asked := make(chan struct{}, 1)
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	traces, err := instruments.OpenTraces(instruments.TracesConfig{Endpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		traces.Tracer().Begin(t.Context(), "a").End()
	}
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := traces.Close(ctx); sandbox.CodeOf(err) != sandbox.Canceled {
		t.Errorf("%v", err)
	}
}

func TestOpenTracesRefuses(t *testing.T) {
	for _, c := range []instruments.TracesConfig{
		{Endpoint: "localhost:4318"}, {Endpoint: "ftp://host"}, {Endpoint: "http://"}, {Endpoint: "http://u:geheim@ho st"},
		{Endpoint: "http://host", Sample: -1}, {Endpoint: "http://host", Sample: 2},
	} {
		if _, err := instruments.OpenTraces(c); sandbox.CodeOf(err) != sandbox.Invalid || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	var none *instruments.Traces
	if none.Tracer() != nil || none.Close(t.Context()) != nil {
		t.Error("no traces are something")
	}
}
