package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// summary is an action in one line: its kind, and what it is about.
func summary(e wire.Event) (kind, about string) {
	kind = string(e.Kind())
	a, err := e.Action()
	if err != nil {
		return kind, firstLine(e.Message())
	}
	switch args := a.Args.(type) {
	case sandbox.RunArgs:
		if args.IsInput {
			kind = "input"
		}
		return kind, firstLine(args.Command)
	case sandbox.IPythonArgs:
		return "python", firstLine(args.Code)
	case sandbox.ReadArgs:
		return kind, args.Path
	case sandbox.WriteArgs:
		return kind, fmt.Sprintf("%s  (%d bytes)", args.Path, len(args.Content))
	case sandbox.EditArgs:
		return kind, strings.TrimSpace(args.Path + "  " + args.Command)
	case sandbox.BrowseArgs:
		return kind, args.URL
	case sandbox.BrowseInteractiveArgs:
		return "browse", firstLine(args.BrowserActions)
	case sandbox.MCPArgs:
		return "tool", args.Name
	}
	return kind, firstLine(spoken(e))
}

// spoken is what an action that no sandbox performs says.
func spoken(e wire.Event) string {
	var args struct {
		Content      string `json:"content"`
		Thought      string `json:"thought"`
		FinalThought string `json:"final_thought"`
		Reason       string `json:"reason"`
		AgentState   string `json:"agent_state"`
	}
	_ = json.Unmarshal(e.Get("args"), &args) // another form says nothing
	for _, s := range []string{args.Content, args.FinalThought, args.Thought, args.Reason, args.AgentState} {
		if s != "" {
			return s
		}
	}
	return e.Message()
}

// thought is what the agent thought when it chose the action; "" if that is all there is to the action.
func thought(e wire.Event) string {
	if !wire.Runnable(e.Kind()) {
		return ""
	}
	var args struct {
		Thought string `json:"thought"`
	}
	_ = json.Unmarshal(e.Get("args"), &args)
	return args.Thought
}

// outcome is how an action ended, in words, and whether well.
func outcome(o sandbox.Observation) (words string, ok bool) {
	switch r := o.Result.(type) {
	case sandbox.RunResult:
		switch code := r.Metadata.ExitCode; {
		case code == 0:
			return "exit 0", true
		case code < 0:
			return "still running", true
		default:
			return fmt.Sprintf("exit %d", code), false
		}
	case sandbox.ErrorResult:
		if o.Interrupted() {
			return "interrupted", false
		}
		if r.ErrorID == "" {
			return "error", false
		}
		return "error " + strings.ToLower(r.ErrorID), false
	case sandbox.EditResult, sandbox.ReadResult:
		if strings.HasPrefix(o.Content, "ERROR:") { // how the editor says no
			return "error", false
		}
	}
	return "done", true
}

// plainly is what went wrong, without the operations that it went wrong in and codes for programs.
func plainly(err error) string {
	for {
		e, ok := errors.AsType[*sandbox.Error](err)
		if !ok || e.Err == nil {
			return err.Error()
		}
		err = e.Err
	}
}
