package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Status is how one server does.
type Status struct {
	Name      string     `json:"name"`
	Type      string     `json:"type"`
	State     string     `json:"state"`           // idle, starting, ready, waiting, failed
	Since     time.Time  `json:"since"`           // of the state
	Restarts  int        `json:"restarts"`        // starts after the first
	Error     string     `json:"error,omitempty"` // how it ended, or failed to start, the last time
	Next      *time.Time `json:"next,omitempty"`  // when it is started again; of a failed one, from when on a use starts it
	PID       int        `json:"pid,omitempty"`   // of a program that runs
	Tools     int        `json:"tools"`           // that it offers, or did when it last ran
	Prompts   int        `json:"prompts"`         //
	Resources int        `json:"resources"`       // templates too
}

// Servers gives the status of each server, in the order of their configuration.
func (h *Hub) Servers() []Status {
	ups := h.upstreams()
	list := make([]Status, len(ups))
	for i, u := range ups {
		list[i] = u.status()
	}
	return list
}

func (u *upstream) status() Status {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := Status{Name: u.config.Name, Type: u.config.Type, State: u.state, Since: u.since.UTC(), Restarts: u.restarts, PID: u.pid,
		Tools: len(u.offers.tools), Prompts: len(u.offers.prompts), Resources: len(u.offers.resources) + len(u.offers.templates)}
	if u.last != nil {
		s.Error = u.last.Error()
	}
	if u.state == Waiting || u.state == Failed {
		next := u.next.UTC()
		s.Next = &next
	}
	return s
}

// Tool is one that can be called.
type Tool struct {
	Name        string // that the Hub gives it
	Server      string
	Description string
	InputSchema json.RawMessage // JSON Schema
}

// Tools lists the tools of all servers, which it starts and waits for, within bounds and until ctx ends. Sorted by name.
func (h *Hub) Tools(ctx context.Context) []Tool {
	h.gather(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []Tool
	for name, t := range h.names.tools.shown {
		schema, err := json.Marshal(t.InputSchema)
		if err != nil {
			schema = nil
		}
		list = append(list, Tool{Name: name, Server: h.names.tools.from[name].up.config.Name, Description: t.Description, InputSchema: schema})
	}
	slices.SortFunc(list, func(a, b Tool) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Check looks for what is known to be wrong before any server is started: programs that are not there. "" is nothing.
func (h *Hub) Check() string {
	var wrong []string
	for _, u := range h.upstreams() {
		if u.config.Type != Stdio {
			continue
		}
		if _, err := lookPath(u.config.Command, h.dir(), h.environment(u.config.Env)); err != nil {
			wrong = append(wrong, fmt.Sprintf("server %s: %v", u.config.Name, err))
		}
	}
	return strings.Join(wrong, "\n")
}
