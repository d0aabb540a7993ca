package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/sandtree/sandtree/sandbox"
)

// Metrics is the part [metrics]: where a command that drives runtimes shows its figures while it runs.
type Metrics struct {
	// Address is where /metrics and /healthz are shown, as "127.0.0.1:9464"; "" shows them nowhere.
	Address string `koanf:"address"`
	// Pprof shows profiles of the process there too, at /debug/pprof/. The address must be this host's own then.
	Pprof bool `koanf:"pprof"`
}

// What traces are exported by, as OTEL_EXPORTER_OTLP_PROTOCOL has it.
const (
	protocolHTTP = "http/protobuf"
	protocolGRPC = "grpc"
)

// Traces is the part [traces]: where is told where the time goes.
type Traces struct {
	// Endpoint is the URL of what takes OTLP, as "http://localhost:4318"; "" traces nothing.
	Endpoint string `koanf:"endpoint"`
	// Protocol is "http/protobuf", the default, or "grpc", whose endpoint has no path, as "http://localhost:4317".
	Protocol string `koanf:"protocol"`
	// Sample is the share of traces that are exported, more than 0 to 1; default 1.
	Sample float64 `koanf:"sample"`
	// Headers are of each request, as in "authorization=Bearer abc,x-team=blue".
	Headers string `koanf:"headers" secret:"true"`
}

// HeaderMap is Headers, by name. Code: Invalid.
func (t Traces) HeaderMap() (map[string]string, error) {
	all := map[string]string{}
	for part := range strings.SplitSeq(t.Headers, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "traces.headers", Err: errors.New("want NAME=VALUE,…")}
		}
		all[name] = value
	}
	return all, nil
}

// check answers the key that is wrong, and why.
func (t Traces) check() (string, error) {
	if _, err := t.HeaderMap(); err != nil {
		return "traces.headers", errors.New("want NAME=VALUE,…") // and it is not shown
	}
	if t.Sample <= 0 || t.Sample > 1 {
		return "traces.sample", fmt.Errorf("want more than 0, to 1, have %v; without traces.endpoint nothing is traced", t.Sample)
	}
	if err := oneOf(t.Protocol, protocolHTTP+" "+protocolGRPC); err != nil {
		return "traces.protocol", err
	}
	if t.Endpoint == "" {
		return "", nil
	}
	u, err := url.Parse(t.Endpoint)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "traces.endpoint", errors.New("want http:// or https:// with a host, as in http://localhost:4318")
	case t.Protocol == protocolGRPC && (strings.Trim(u.Path, "/") != "" || u.RawQuery != ""):
		return "traces.endpoint", errors.New("over gRPC it has no path, as in http://localhost:4317")
	case u.User != nil:
		return "traces.endpoint", errors.New("a name and a password belong to traces.headers, where they are not shown")
	}
	return "", nil
}
