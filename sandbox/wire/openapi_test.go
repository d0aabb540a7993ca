package wire_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

const document = "../../docs/openapi.yaml"

// The document is valid, and what is embedded is the same; -update makes it so.
func TestOpenAPIIsEmbedded(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	want, err := doc.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		z.Write(want)
		z.Close()
		if err := os.WriteFile("openapi.json.gz", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(wire.OpenAPI(), want) {
		t.Errorf("%s has changed: go test ./sandbox/wire -run OpenAPIIsEmbedded -update", document)
	}
	if n := len(wire.OpenAPIGzip()); n > 20<<10 {
		t.Errorf("it takes %d bytes of the program", n)
	}
}

// shapes are the types of which bodies and answers are.
var shapes = []any{
	wire.VersionInfo{}, wire.Info{}, wire.Disk{}, wire.InfoLimits{}, wire.Plugin{},
	wire.FileStat{}, wire.Move{}, wire.Remove{}, wire.Mkdir{}, wire.Chmod{}, wire.Glob{}, wire.GlobResult{},
	wire.Grep{}, wire.GrepMatch{}, wire.GrepEnd{}, wire.WatchEvent{}, wire.ErrorBody{},
	wire.SessionSpec{}, wire.Session{}, wire.Command{}, wire.Process{}, wire.Usage{}, wire.Held{}, wire.Exit{}, wire.Signal{}, wire.TerminalMessage{},
	wire.KernelSpec{}, wire.Kernel{}, wire.MCPServerSpec{}, wire.MCPServer{}, wire.MCPTool{}, wire.Port{},
}

// Every type has a schema with the same members, of which those are required that are always written.
func TestOpenAPIHasTheShapes(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, shape := range shapes {
		typ := reflect.TypeOf(shape)
		schema := doc.Components.Schemas[typ.Name()]
		if schema == nil {
			t.Errorf("no schema %s", typ.Name())
			continue
		}
		var all, required, have []string
		for f := range typ.Fields() {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			all = append(all, name)
			if !strings.Contains(options, "omitempty") {
				required = append(required, name)
			}
		}
		for name := range schema.Value.Properties {
			have = append(have, name)
		}
		slices.Sort(have)
		slices.Sort(all)
		slices.Sort(required)
		if !slices.Equal(all, have) {
			t.Errorf("%s has %q, its schema %q", typ.Name(), all, have)
		}
		if got := slices.Sorted(slices.Values(schema.Value.Required)); !slices.Equal(required, got) {
			t.Errorf("%s always has %q, its schema requires %q", typ.Name(), required, got)
		}
	}
}

// Every code is in the document, and every event that either form can write fits its schema there.
func TestOpenAPIHasTheCodesAndEvents(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, c := range doc.Components.Schemas["Code"].Value.Enum {
		codes = append(codes, c.(string))
	}
	for _, c := range sandbox.Codes {
		if !slices.Contains(codes, string(c)) {
			t.Errorf("code %s is missing", c)
		}
	}
	fits := func(schema string, b []byte) {
		t.Helper()
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		if err := doc.Components.Schemas[schema].Value.VisitJSON(v); err != nil {
			t.Errorf("%s is no %s: %v", b, schema, err)
		}
	}
	for _, b := range goldens(t, "actions") {
		if a, err := wire.ParseAction(b); err == nil && a.Kind() != "" {
			fits("NativeAction", wire.AppendNativeAction(nil, a))
		}
	}
	for _, b := range goldens(t, "observations") {
		if o, err := wire.ParseObservation(b); err == nil {
			delete(o.Meta, "timestamp")
			delete(o.Meta, "source")
			fits("NativeObservation", wire.AppendNativeObservation(nil, o, time.Unix(1767323045, 0)))
			fits("OpenHandsObservation", wire.AppendObservation(nil, sandbox.Observation{Content: o.Content, Result: o.Result}))
		}
	}
}
