package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sandtree/sandtree/internal/plain"
)

func cut(s string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(s, "=")
	return key, value, ok && key != ""
}

func errKeyValue(s string) error { return fmt.Errorf("want key=value, have %q", s) }

// writeJSON writes v on a line of its own.
func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// ago is a duration as people say it: 5s, 12m, 3h, 4d.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// took is how long something took, with three digits at most.
func took(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// firstLine is the beginning of a text, for a line of its own.
func firstLine(s string) string {
	const most = 120 // characters
	s = strings.TrimSpace(s)
	line, rest, more := strings.Cut(s, "\n")
	line = plain.Text(strings.TrimRight(line, "\r"))
	if runes := []rune(line); len(runes) > most {
		line = string(runes[:most-1]) + "…"
	}
	if more {
		if n := 1 + strings.Count(rest, "\n"); n == 1 {
			line += "  (and 1 line)"
		} else {
			line += fmt.Sprintf("  (and %d lines)", n)
		}
	}
	return line
}
