package instruments

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sandtree/sandtree/supervisor"
)

// An exporter sends spans by OTLP (https://opentelemetry.io/docs/specs/otlp/), as protocol buffers over HTTP or gRPC.
type exporter struct {
	url, shown string // shown has no password
	once       func(ctx context.Context, body []byte) (wait time.Duration, again bool, err error)
	headers    map[string]string
	version    string
	client     *http.Client
}

// newExporter makes the one that c names, to u.
func newExporter(c TracesConfig, u *url.URL) *exporter {
	var versions http.Protocols
	e := &exporter{shown: u.Redacted(), headers: maps.Clone(c.Headers), version: c.Version}
	if c.Protocol == ProtocolGRPC {
		u.Path, e.once = grpcMethod, e.call
		versions.SetHTTP2(true)
		versions.SetUnencryptedHTTP2(true) // without asking: a server of gRPC takes nothing else
	} else {
		e.once = e.post
		versions.SetHTTP1(true)
		versions.SetHTTP2(true)
		if strings.Trim(u.Path, "/") == "" {
			u.Path = "/v1/traces"
		}
	}
	e.url = u.String()
	e.client = &http.Client{
		Transport:     &http.Transport{MaxIdleConns: 1, IdleConnTimeout: time.Minute, Protocols: &versions},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return e
}

const (
	exportTries = 3
	exportPause = 500 * time.Millisecond // before the second, doubled for the third
	longestWait = 5 * time.Second        // that a server may ask for
	maxAnswer   = 64 << 10               // bytes that are read of an answer
)

// send sends one batch, again if that failed of something that may pass.
func (e *exporter) send(ctx context.Context, spans []supervisor.Span) error {
	body, err := proto.Marshal(e.request(spans))
	if err != nil {
		return err
	}
	pause := exportPause
	for n := 1; ; n++ {
		trying, cancel := context.WithTimeout(ctx, exportTime)
		wait, again, err := e.once(trying, body)
		cancel()
		if err == nil || !again || n == exportTries {
			return err
		}
		timer := time.NewTimer(max(pause, min(wait, longestWait)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		pause *= 2
	}
}

// post sends a request once over HTTP; again says that it may be sent again, after wait.
func (e *exporter) post(ctx context.Context, body []byte) (wait time.Duration, again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return 0, false, err
	}
	e.head(r, "application/x-protobuf")
	resp, err := e.client.Do(r)
	if err != nil {
		return 0, true, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode == http.StatusOK {
		return 0, false, refusedSpans(answer)
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return time.Duration(seconds) * time.Second, passing(resp.StatusCode), fmt.Errorf("the endpoint answers %s", resp.Status)
}

// passing says whether a status is of something that may pass.
func passing(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// head sets the headers of a request.
func (e *exporter) head(r *http.Request, content string) {
	r.Header.Set("Content-Type", content)
	r.Header.Set("User-Agent", "sandtree/"+e.version)
	for k, v := range e.headers {
		r.Header.Set(k, v)
	}
}

// refusedSpans is the part of a success that is none.
func refusedSpans(answer []byte) error {
	var said collectorpb.ExportTraceServiceResponse
	if proto.Unmarshal(answer, &said) != nil || said.GetPartialSuccess().GetRejectedSpans() == 0 {
		return nil
	}
	return fmt.Errorf("the endpoint has refused %d spans: %.200q", said.PartialSuccess.RejectedSpans, said.PartialSuccess.ErrorMessage)
}

// request is a batch in the words of OTLP. What was made in a sandbox is another service's: its word.
func (e *exporter) request(spans []supervisor.Span) *collectorpb.ExportTraceServiceRequest {
	ours, theirs := e.of("sandtree"), e.of("sandboxd")
	for _, s := range spans {
		to := ours
		if s.Inside {
			to = theirs
		}
		to.ScopeSpans[0].Spans = append(to.ScopeSpans[0].Spans, otlpSpan(s))
	}
	r := &collectorpb.ExportTraceServiceRequest{}
	for _, of := range []*tracepb.ResourceSpans{ours, theirs} {
		if len(of.ScopeSpans[0].Spans) > 0 {
			r.ResourceSpans = append(r.ResourceSpans, of)
		}
	}
	return r
}

func (e *exporter) of(service string) *tracepb.ResourceSpans {
	return &tracepb.ResourceSpans{
		Resource:   &resourcepb.Resource{Attributes: []*commonpb.KeyValue{text("service.name", service), text("service.version", e.version)}},
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "github.com/sandtree/sandtree"}}},
	}
}

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

func otlpSpan(s supervisor.Span) *tracepb.Span {
	out := &tracepb.Span{
		Name: s.Name, TraceId: s.Trace[:], SpanId: s.ID[:], Kind: tracepb.Span_SPAN_KIND_INTERNAL,
		StartTimeUnixNano: uint64(s.Begun.UnixNano()), EndTimeUnixNano: uint64(s.Ended.UnixNano()),
	}
	switch s.Name {
	case "transport.attempt":
		out.Kind = tracepb.Span_SPAN_KIND_CLIENT
	case "sandboxd.action":
		out.Kind = tracepb.Span_SPAN_KIND_SERVER
	}
	if s.Parent != [8]byte{} {
		out.ParentSpanId = s.Parent[:]
	}
	for _, a := range s.Attrs {
		out.Attributes = append(out.Attributes, text(a.Key, a.Value))
	}
	if s.Err != "" {
		out.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: s.Err}
	}
	return out
}
