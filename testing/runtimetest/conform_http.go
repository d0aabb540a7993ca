package runtimetest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// web is a client of the form, whatever the runtime of the site is.
func (s *site) web() *Client {
	s.Helper()
	c := NewClient(s.Dial, s.Key)
	s.Cleanup(c.HTTP.CloseIdleConnections)
	return c
}

// An answer is one of HTTP, with checks that can be chained.
type answer struct {
	s      *site
	asked  string
	status int
	header http.Header
	body   string
}

// ask sends a request to the server. A header is "Name: value"; an empty key sends none.
func (s *site) ask(key, method, target, body string, headers ...string) answer {
	s.Helper()
	r, err := http.NewRequestWithContext(s.context(), method, "http://sandbox"+target, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	if key != "" {
		r.Header.Set("X-Session-API-Key", key)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	response, err := s.web().HTTP.Do(r)
	if err != nil {
		s.Fatalf("%s %s: %v", method, target, err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatalf("%s %s: %v", method, target, err)
	}
	return answer{s, method + " " + target + " " + body, response.StatusCode, response.Header, string(b)}
}

func (s *site) get(target string) answer { s.Helper(); return s.ask(s.Key, "GET", target, "") }

func (s *site) post(target, body string) answer {
	s.Helper()
	return s.ask(s.Key, "POST", target, body)
}

// event posts one event to be performed.
func (s *site) event(event string) answer {
	s.Helper()
	return s.post("/execute_action", `{"action":`+event+`}`)
}

func (a answer) fail(format string, args ...any) {
	a.s.Helper()
	a.s.Errorf("%.200s: "+format+"\nhave status %d and %.400q", append(append([]any{a.asked}, args...), a.status, a.body)...)
}

// is wants this status and body.
func (a answer) is(status int, body string) answer {
	a.s.Helper()
	if a.status != status || a.body != body {
		a.fail("want status %d and %q", status, body)
	}
	return a
}

// has wants this status, and this in the body.
func (a answer) has(status int, parts ...string) answer {
	a.s.Helper()
	for _, p := range parts {
		if a.status != status || !strings.Contains(a.body, p) {
			a.fail("want status %d and %q", status, p)
		}
	}
	if a.status != status {
		a.fail("want status %d", status)
	}
	return a
}

// json reads the body.
func (a answer) json(into any) {
	a.s.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		a.fail("%v", err)
	}
}
