package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/internal/plain"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// listing writes records for people: a line each, and what was seen below it.
type listing struct {
	w io.Writer
	p paint

	began map[string]time.Time // actions that wait for their observation, by id
}

func (l *listing) show(r journal.Record) error {
	what, below := l.describe(r)
	if what == "" {
		what = orDash(firstLine(string(r.Body)))
	}
	_, err := fmt.Fprintf(l.w, "%s %s  %-11s  %s\n", l.p.dim(fmt.Sprintf("%5d", r.Seq)), l.p.dim(clock(r.Time)), r.Type, what)
	if err == nil && below != "" {
		_, err = io.WriteString(l.w, indent(below))
	}
	return err
}

func (l *listing) describe(r journal.Record) (what, below string) {
	switch r.Type {
	case journal.TypeAction, journal.TypeNote:
		e, err := wire.ParseEvent(r.Body)
		if err != nil {
			return "", ""
		}
		l.note(r)
		kind, about := summary(e)
		return l.p.bold(kind) + "  " + about, ""
	case journal.TypeObservation:
		o, err := wire.ParseObservation(r.Body)
		if err != nil {
			return "", ""
		}
		words, ok := outcome(o)
		if words = l.p.green(words); !ok {
			words = l.p.red(words)
		}
		if began, ok := l.began[r.ActionID]; ok {
			words += l.p.dim("  " + took(r.Time.Sub(began)))
			delete(l.began, r.ActionID)
		}
		return words, o.Content
	case journal.TypeStatus:
		return l.status(r.Body), ""
	case journal.TypeRestart:
		return l.restart(r.Body), ""
	case journal.TypeAudit:
		return l.audit(r.Body), ""
	}
	return "", ""
}

func (l *listing) note(r journal.Record) {
	if r.Type == journal.TypeAction {
		if l.began == nil {
			l.began = map[string]time.Time{}
		}
		l.began[r.ActionID] = r.Time
	}
}

func (l *listing) status(body json.RawMessage) string {
	var s struct {
		ID         sandbox.Status `json:"id"`
		Type       string         `json:"type"`
		Message    string         `json:"message"`
		Unenforced []string       `json:"unenforced"`
	}
	if json.Unmarshal(body, &s) != nil || s.ID == "" {
		return ""
	}
	words := short(s.ID)
	switch {
	case s.Type == "error":
		words = l.p.red(words)
	case s.ID == sandbox.StatusReady:
		words = l.p.green(words)
	}
	if s.Message != "" {
		words += "  " + firstLine(s.Message)
	}
	if len(s.Unenforced) > 0 {
		words += l.p.dim("  limits not enforced: " + strings.Join(s.Unenforced, ", "))
	}
	return words
}

// audit tells of a connection, or of what else a program did.
func (l *listing) audit(body json.RawMessage) string {
	var s struct {
		Audit string `json:"audit"`
		sandbox.Connection
	}
	switch err := json.Unmarshal(body, &s); {
	case err != nil:
		return ""
	case s.Audit != "connection":
		return l.auditRecord(body)
	}
	words := string(s.Kind)
	if s.Kind == sandbox.ConnectionDenied || s.Kind == sandbox.ConnectionCut || s.Kind == sandbox.ConnectionFailed {
		words = l.p.red(words)
	}
	if s.Name != "" {
		words += "  " + firstLine(s.Name)
	}
	if s.Addr.IsValid() {
		words += "  " + s.Addr.String()
	}
	if s.Port != 0 {
		words += fmt.Sprintf("  port %d", s.Port)
	}
	if s.Why != "" {
		words += "  " + firstLine(string(s.Why))
	}
	if s.Kind == sandbox.ConnectionClosed || s.Kind == sandbox.ConnectionCut {
		words += l.p.dim(fmt.Sprintf("  %s out, %s in, %s", humanize.Bytes(uint64(max(0, s.Sent))), humanize.Bytes(uint64(max(0, s.Received))), took(s.Took)))
	}
	if s.Untold > 0 {
		words += l.p.dim(fmt.Sprintf("  (and %d before that are not told)", s.Untold))
	}
	return words
}

func (l *listing) restart(body json.RawMessage) string {
	var s struct {
		Cause   string    `json:"cause"`
		Attempt int       `json:"attempt"`
		Of      int       `json:"of"`
		NextAt  time.Time `json:"next_at"`
	}
	if json.Unmarshal(body, &s) != nil || s.Attempt == 0 {
		return ""
	}
	return l.p.yellow(fmt.Sprintf("%d of %d", s.Attempt, s.Of)) + "  " + firstLine(s.Cause)
}

func indent(s string) string {
	const margin = "        │ "
	s = strings.TrimRight(plain.Text(s), "\n")
	if s == "" {
		return ""
	}
	return margin + strings.ReplaceAll(s, "\n", "\n"+margin) + "\n"
}
