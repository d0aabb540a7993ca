package instruments_test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/supervisor/instruments"
	"github.com/sandtree/sandtree/testing/leak"
)

// A grpcAnswer is what a server of gRPC says; the zero one is well.
type grpcAnswer struct {
	status  int // of HTTP; 0 is 200
	code    int
	message string // of the code
	details []byte
	early   bool // the code comes with the head, and there is no body
	refused int64
}

// grpcEndpoint is a server of OTLP over gRPC: the slice that we use. The real one is met in testing/collector.
type grpcEndpoint struct {
	*httptest.Server
	t       *testing.T
	mu      sync.Mutex
	spans   []int // of each request
	header  http.Header
	answers []grpcAnswer
}

func newGRPC(t *testing.T, answers ...grpcAnswer) *grpcEndpoint {
	leak.Check(t)
	e := &grpcEndpoint{t: t, answers: answers}
	e.Server = httptest.NewUnstartedServer(e)
	e.Config.Protocols = &http.Protocols{}
	e.Config.Protocols.SetUnencryptedHTTP2(true)
	e.Config.Protocols.SetHTTP2(true)
	t.Cleanup(e.Close)
	return e
}

func (e *grpcEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	var got collectorpb.ExportTraceServiceRequest
	if err != nil || r.ProtoMajor != 2 || r.URL.Path != "/opentelemetry.proto.collector.trace.v1.TraceService/Export" ||
		r.Header.Get("Content-Type") != "application/grpc" || r.Header.Get("Te") != "trailers" || len(b) < 5 || b[0] != 0 ||
		int(binary.BigEndian.Uint32(b[1:])) != len(b)-5 || proto.Unmarshal(b[5:], &got) != nil {
		e.t.Errorf("no gRPC: %s %s, %v", r.Proto, r.URL, r.Header)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, of := range got.ResourceSpans {
		n += len(of.ScopeSpans[0].Spans)
	}
	e.spans, e.header = append(e.spans, n), r.Header
	var a grpcAnswer
	if len(e.answers) > 0 {
		a, e.answers = e.answers[0], e.answers[1:]
	}
	if a.status != 0 {
		http.Error(w, "a proxy's page", a.status)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	trailer := http.TrailerPrefix
	if a.early {
		trailer = ""
	} else if a.code == 0 {
		said := &collectorpb.ExportTraceServiceResponse{}
		if a.refused > 0 {
			said.PartialSuccess = &collectorpb.ExportTracePartialSuccess{RejectedSpans: a.refused, ErrorMessage: "too old"}
		}
		m, err := proto.Marshal(said)
		if err != nil {
			e.t.Error(err)
		}
		_, _ = w.Write(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(m))), m...))
	}
	h.Set(trailer+"Grpc-Status", strconv.Itoa(a.code))
	if a.message != "" {
		h.Set(trailer+"Grpc-Message", a.message)
	}
	if a.details != nil {
		h.Set(trailer+"Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(a.details))
	}
}

// over exports one span over gRPC, and gives how many requests there were and what was logged.
func (e *grpcEndpoint) over(t *testing.T, change func(*instruments.Traces)) (requests int, log string) {
	t.Helper()
	var b strings.Builder
	traces, err := instruments.OpenTraces(instruments.TracesConfig{Endpoint: e.URL, Protocol: instruments.ProtocolGRPC,
		Headers: map[string]string{"authorization": "Bearer x"}, Log: slog.New(slog.NewTextHandler(&b, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(traces)
	}
	traces.Tracer().Begin(t.Context(), "a").End()
	if err := traces.Close(t.Context()); err != nil {
		t.Error(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.spans {
		if n != 1 || e.header.Get("Authorization") != "Bearer x" {
			t.Errorf("%d spans, %v", n, e.header)
		}
	}
	return len(e.spans), b.String()
}

// retryInfo is a google.rpc.Status whose only detail asks for a wait of so many nanoseconds.
func retryInfo(nanos uint64) []byte {
	field := func(n protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), b)
	}
	duration := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), nanos)
	detail := append(field(1, []byte("type.googleapis.com/google.rpc.RetryInfo")), field(2, field(1, duration))...)
	return append(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 8), field(3, detail)...)
}

// What may pass is met by trying again, as the protocol has it, and what does not is not; what the endpoint said is logged.
func TestTracesGoOverGRPC(t *testing.T) {
	for name, c := range map[string]struct {
		first    grpcAnswer
		requests int
		log      string // of the failure; "" is none
	}{
		"well":                       {grpcAnswer{}, 1, ""},
		"unavailable":                {grpcAnswer{code: 14}, 2, ""},
		"unavailable early":          {grpcAnswer{code: 14, early: true}, 2, ""},
		"a proxy without its server": {grpcAnswer{status: 503}, 2, ""},
		"no room now":                {grpcAnswer{code: 8, details: retryInfo(1)}, 2, ""},
		"no room":                    {grpcAnswer{code: 8, message: "full%20%C3%BC"}, 1, `resource exhausted (gRPC 8): \"full ü\"`},
		"nonsense about room":        {grpcAnswer{code: 8, details: []byte("nonsense")}, 1, "resource exhausted"},
		"no key":                     {grpcAnswer{code: 16, early: true}, 1, "unauthenticated"},
		"a code to come":             {grpcAnswer{code: 99}, 1, "unknown (gRPC 99)"},
		"no such page":               {grpcAnswer{status: 404}, 1, "404"},
		"not all":                    {grpcAnswer{refused: 1}, 1, "refused 1 spans"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newGRPC(t, c.first)
			e.Start()
			requests, log := e.over(t, nil)
			escaped := strings.ReplaceAll(c.log, `\"`, `\\\"`)
			if requests != c.requests || (log == "") != (c.log == "") || !strings.Contains(log, c.log) && !strings.Contains(log, escaped) {
				t.Errorf("%d requests, logged %s; want %d, %s", requests, log, c.requests, c.log)
			}
		})
	}
}

func TestTracesGoOverGRPCWithTLS(t *testing.T) {
	e := newGRPC(t)
	e.EnableHTTP2 = true
	e.StartTLS()
	trust := e.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	requests, log := e.over(t, func(traces *instruments.Traces) { traces.Trust(&tls.Config{RootCAs: trust}) })
	if requests != 1 || log != "" {
		t.Errorf("%d requests, logged %s", requests, log)
	}
}

// Where something else listens the log says what to look at.
func TestGRPCAtAnotherServer(t *testing.T) {
	e := newEndpoint(t)
	var b strings.Builder
	traces, err := instruments.OpenTraces(instruments.TracesConfig{Endpoint: e.URL, Protocol: instruments.ProtocolGRPC,
		Log: slog.New(slog.NewTextHandler(&b, nil))})
	if err != nil {
		t.Fatal(err)
	}
	traces.Tracer().Begin(t.Context(), "a").End()
	if err := traces.Close(t.Context()); err != nil || !strings.Contains(b.String(), "traces cannot be exported") {
		t.Errorf("%v, %s", err, b.String())
	}
}

func TestProtocolsAreNamed(t *testing.T) {
	for want, c := range map[string]instruments.TracesConfig{
		`Protocol: want "http/protobuf" or "grpc", have "http/json"`: {Endpoint: "http://host", Protocol: "http/json"},
		"Endpoint: over gRPC it has no path":                         {Endpoint: "http://host/v1/traces", Protocol: instruments.ProtocolGRPC},
	} {
		if _, err := instruments.OpenTraces(c); sandbox.CodeOf(err) != sandbox.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
