package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// Every request that a test of this package makes and the server takes, and every answer, is held against the OpenAPI
// document.

var document = sync.OnceValues(func() (*openapi3.T, error) {
	return openapi3.NewLoader().LoadFromData(wire.OpenAPI())
})

// documented is the connection of a box's client.
type documented struct {
	t    testing.TB
	next http.RoundTripper
}

func (d documented) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil && r.ContentLength > 0 && r.ContentLength < 1<<20 { // not what is still to be made
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	response, err := d.next.RoundTrip(r)
	if err != nil {
		return response, err
	}
	in := input(r, body)
	if in == nil {
		if response.StatusCode < 300 {
			d.t.Errorf("%s %s is not in the document", r.Method, r.URL.Path)
		}
		return response, nil
	}
	if response.StatusCode < 300 && body != nil { // those that are refused may be as wrong as they like
		if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
			d.t.Errorf("%s %s, %.300s\nis not as documented: %v", r.Method, r.URL, body, err)
		}
	}
	return response, d.answer(in, response)
}

// answer checks a response. Of its body only JSON is looked at: the others go on for as long as they like.
func (d documented) answer(in *openapi3filter.RequestValidationInput, response *http.Response) error {
	op := in.Route.Operation
	ref := op.Responses.Status(response.StatusCode)
	if ref == nil {
		ref = op.Responses.Default()
	}
	what := fmt.Sprintf("%s %s: %d", in.Request.Method, in.Request.URL, response.StatusCode)
	if ref == nil || ref.Value == nil {
		d.t.Errorf("%s is not documented", what)
		return nil
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case len(ref.Value.Content) == 0 || in.Request.Method == http.MethodHead || response.ContentLength == 0:
		return nil
	case ref.Value.Content.Get(kind) == nil:
		if !strings.HasPrefix(kind, "text/event-stream") {
			d.t.Errorf("%s of type %q is not documented", what, kind)
		}
		return nil
	case kind != wire.TypeJSON || response.Header.Get("Content-Encoding") != "":
		return nil
	}
	b, err := io.ReadAll(response.Body)
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(b))
	if err != nil {
		return err
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: response.StatusCode, Header: response.Header,
		Options: in.Options}
	if err := openapi3filter.ValidateResponse(context.Background(), out.SetBodyBytes(b)); err != nil {
		d.t.Errorf("%s, %.500s\nis not as documented: %v", what, b, err)
	}
	return nil
}

// input is a request as the document sees it; nil if it does not.
func input(r *http.Request, body []byte) *openapi3filter.RequestValidationInput {
	doc, err := document()
	if err != nil {
		panic(err)
	}
	template, params := match(doc, r.URL.EscapedPath())
	if template == "" { // what MCP is asked at is the same with a slash at its end
		template, params = match(doc, strings.TrimSuffix(r.URL.EscapedPath(), "/"))
	}
	if template == "" || doc.Paths.Value(template).GetOperation(r.Method) == nil {
		return nil
	}
	item := doc.Paths.Value(template)
	op := item.GetOperation(r.Method)
	clone := r.Clone(context.Background())
	clone.Body = io.NopCloser(bytes.NewReader(body))
	if op.RequestBody != nil && clone.Header.Get("Content-Type") == "" { // the server does not look at it
		for kind := range op.RequestBody.Value.Content {
			clone.Header.Set("Content-Type", kind)
		}
	}
	return &openapi3filter.RequestValidationInput{Request: clone, PathParams: params,
		Route: &routers.Route{Spec: doc, Path: template, PathItem: item, Method: r.Method, Operation: op},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
			ExcludeRequestBody: !hasJSON(op)},
	}
}

func hasJSON(op *openapi3.Operation) bool {
	return op.RequestBody != nil && op.RequestBody.Value.Content.Get(wire.TypeJSON) != nil
}

// match finds the template of a path. What is handed on to a port may have slashes.
func match(doc *openapi3.T, path string) (template string, params map[string]string) {
	at := strings.Split(path, "/")
	for template := range doc.Paths.Map() {
		want := strings.Split(template, "/")
		have := at
		if rest := len(want) - 1; want[rest] == "{path}" && len(at) > rest {
			have = append(slices.Clone(at[:rest]), strings.Join(at[rest:], "/"))
		}
		if len(want) != len(have) {
			continue
		}
		params := map[string]string{}
		for i, w := range want {
			if name, ok := strings.CutPrefix(w, "{"); ok {
				params[strings.TrimSuffix(name, "}")] = have[i]
			} else if w != have[i] {
				params = nil
				break
			}
		}
		if params != nil {
			return template, params
		}
	}
	return "", nil
}

// Every route is in the document, and what is in the document is a route.
func TestOpenAPIHasTheRoutes(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	table := server.Routes()
	methods := func(path string) (all []string) {
		for m := range doc.Paths.Value(path).Operations() {
			all = append(all, m)
		}
		return all
	}
	for route, want := range table {
		var have []string
		for path := range doc.Paths.Map() {
			if path == route || strings.HasSuffix(route, "/") && strings.HasPrefix(path, route) {
				have = append(have, methods(path)...)
			}
		}
		slices.Sort(have)
		if have = slices.Compact(have); len(have) == 0 || want != nil && !slices.Equal(have, want) {
			t.Errorf("%s takes %q, the document has %q", route, want, have)
		}
	}
	for path := range doc.Paths.Map() {
		if !strings.HasPrefix(path, "/v1/") {
			continue
		}
		found := false
		for route, want := range table {
			if path == route || strings.HasSuffix(route, "/") && strings.HasPrefix(path, route) {
				for _, m := range methods(path) {
					found = true
					if want != nil && !slices.Contains(want, m) {
						t.Errorf("%s %s is in the document, but no route", m, path)
					}
				}
			}
		}
		if !found {
			t.Errorf("%s is in the document, but no route", path)
		}
	}
}

var openHandsCase = regexp.MustCompile(`"(/[a-z_/.]*)"`)

// The paths of the other form stand in a switch.
func TestOpenAPIHasTheOpenHandsPaths(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"openhands.go", "mcp.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(source)) {
			if !strings.HasPrefix(strings.TrimSpace(line), "case ") {
				continue
			}
			for _, m := range openHandsCase.FindAllStringSubmatch(line, -1) {
				if doc.Paths.Value(m[1]) == nil {
					t.Errorf("%s of %s is not in the document", m[1], file)
				}
			}
		}
	}
	b := start(t, nil)
	for path := range doc.Paths.Map() {
		if strings.HasPrefix(path, "/v1/") || strings.Contains(path, "mcp") || strings.HasSuffix(path, "sse") || strings.HasSuffix(path, "messages") {
			continue
		}
		if status, _ := b.do("OPTIONS", path, ""); status != http.StatusMethodNotAllowed {
			t.Errorf("OPTIONS %s: %d", path, status)
		}
	}
}

func TestOpenAPIIsServed(t *testing.T) {
	b := start(t, nil)
	status, got := b.do("GET", "/openapi.json", "")
	if status != http.StatusOK || got != string(wire.OpenAPI()) {
		t.Errorf("%d, %d bytes", status, len(got))
	}
	r := b.request("GET", "/openapi.json", "", "Accept-Encoding", "gzip")
	if status, got := b.send(r); status != http.StatusOK || got != string(wire.OpenAPIGzip()) {
		t.Errorf("compressed: %d, %d bytes", status, len(got))
	}
}
