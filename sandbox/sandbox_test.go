package sandbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestID(t *testing.T) {
	for id, good := range map[string]bool{
		"a": true, "A-1_b.c": true, "0": true, strings.Repeat("x", 64): true, string(NewID()): true, NewActionID(): true,
		"": false, "-a": false, ".": false, "..": false, "a/b": false, "a b": false, "ä": false, "a\x00": false,
		strings.Repeat("x", 65): false,
	} {
		for what, err := range map[string]error{"id": ID(id).Check(), "action id": CheckActionID(id)} {
			if (err == nil) != good || !good && CodeOf(err) != Invalid {
				t.Errorf("%s %q: %v", what, id, err)
			}
		}
	}
}

func TestCodeOf(t *testing.T) {
	inner := &Error{Code: NotFound, Op: "local.Attach", ID: "a", Err: errors.New("no such file")}
	for _, c := range []struct {
		err  error
		want Code
	}{
		{nil, ""},
		{inner, NotFound},
		{fmt.Errorf("more: %w", inner), NotFound},
		{&Error{Code: Lost, Err: inner}, Lost},
		{context.Canceled, Canceled},
		{fmt.Errorf("waiting: %w", context.DeadlineExceeded), Canceled},
		{errors.New("a bug"), Internal},
	} {
		if got := CodeOf(c.err); got != c.want {
			t.Errorf("%v: code %q, want %q", c.err, got, c.want)
		}
	}
	if got, want := inner.Error(), "local.Attach: a: no such file (not_found)"; got != want {
		t.Errorf("reads %q, want %q", got, want)
	}
}

func TestSpecCheck(t *testing.T) {
	for name, spec := range map[string]Spec{
		"id":                      {},
		"workspace":               {ID: "a", Workspace: "here"},
		"name of env":             {ID: "a", Env: map[string]string{"1A": ""}},
		"value of env":            {ID: "a", Env: map[string]string{"A": "b\x00"}},
		"set-up env":              {ID: "a", Setup: Setup{Env: map[string]string{"A=B": ""}}},
		"branch of no repository": {ID: "a", Setup: Setup{Branch: "main"}},
		"URL that is none":        {ID: "a", Setup: Setup{Repository: "https://s%zcret@h/r"}},
		"password for ssh":        {ID: "a", Setup: Setup{Repository: "ssh://me:secret@h/r"}},
	} {
		if err := spec.Check(); CodeOf(err) != Invalid {
			t.Errorf("%s: %v, want Invalid", name, err)
		}
	}
	good := Spec{ID: "a", Workspace: "/w", Env: map[string]string{"_a1": "any\nthing '$"}, Setup: Setup{Repository: "https://me:secret@h/r", Branch: "b"}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

func TestReportable(t *testing.T) {
	if len(Statuses) != 18 {
		t.Errorf("%d statuses, want 18", len(Statuses))
	}
	for s, want := range map[Status]bool{StatusLLMRetry: true, StatusRateLimited: true, StatusReady: false, StatusErrorMemory: false, "STATUS$": false} {
		if s.Reportable() != want {
			t.Errorf("%s is reportable: %v", s, !want)
		}
	}
}

func TestExit(t *testing.T) {
	for want, e := range map[string]Exit{
		"exited with code 3":           {Code: 3},
		"killed by signal 9":           {Code: -1, Signal: 9},
		"killed for want of memory":    {Code: -1, Signal: 9, Memory: true},
		"the machine was switched off": {Code: -1, Reason: "the machine was switched off"},
	} {
		if got := e.String(); got != want {
			t.Errorf("reads %q, want %q", got, want)
		}
	}
}
