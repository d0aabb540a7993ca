package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/supervisor"
)

// jsonTeller writes a line of JSON for each thing that happens. Its "event" says what it is: status, action, output,
// observation, failure, note, end.
type jsonTeller struct {
	mu  sync.Mutex
	w   io.Writer
	err error // of the first write that failed
}

func (t *jsonTeller) say(v any) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = writeJSON(t.w, v)
	}
	return t.err
}

func (t *jsonTeller) status(c supervisor.StatusChange) {
	s := c.State
	line := struct {
		Event      string         `json:"event"`
		Runtime    sandbox.ID     `json:"runtime"`
		Time       time.Time      `json:"time"`
		Status     sandbox.Status `json:"status"`
		Message    string         `json:"message,omitempty"`
		Recovering bool           `json:"recovering,omitempty"`
		Attempt    int            `json:"attempt,omitempty"`
		Of         int            `json:"of,omitempty"`
		NextAt     time.Time      `json:"next_at,omitzero"`
		Code       sandbox.Code   `json:"code,omitempty"`
	}{"status", c.ID, c.Time.UTC(), s.Status, s.Message, s.Recovering, s.Attempt, s.Of, s.NextAt.UTC(), sandbox.CodeOf(s.Cause)}
	_ = t.say(line) // the next output meets the same error
}

func (t *jsonTeller) action(e wire.Event) {
	_ = t.say(struct {
		Event  string     `json:"event"`
		Action wire.Event `json:"action"`
	}{"action", e})
}

func (t *jsonTeller) output(offset int64, p []byte) error {
	return t.say(struct {
		Event  string `json:"event"`
		Offset int64  `json:"offset"` // of text in the action's output, in bytes
		Text   string `json:"text"`   // bytes that are not UTF-8 are U+FFFD
	}{"output", offset, string(p)})
}

func (t *jsonTeller) observation(_ wire.Event, o sandbox.Observation, took time.Duration) error {
	return t.say(struct {
		Event       string          `json:"event"`
		Seconds     float64         `json:"seconds"`
		Observation json.RawMessage `json:"observation"`
	}{"observation", took.Seconds(), wire.AppendObservation(nil, o)})
}

func (t *jsonTeller) failed(_ wire.Event, err error) {
	_ = t.say(struct {
		Event string       `json:"event"`
		Code  sandbox.Code `json:"code"`
		Error string       `json:"error"`
	}{"failure", sandbox.CodeOf(err), err.Error()})
}

func (t *jsonTeller) aside(e wire.Event) {
	_ = t.say(struct {
		Event  string     `json:"event"`
		Action wire.Event `json:"action"`
	}{"note", e})
}

func (t *jsonTeller) end(s summing) error {
	return t.say(struct {
		Event string `json:"event"`
		summing
	}{"end", s})
}
