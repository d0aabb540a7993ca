package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// auditRecord tells what a program did, in one line. All of it is a stranger's.
func (l *listing) auditRecord(body json.RawMessage) string {
	var r sandbox.AuditRecord
	if json.Unmarshal(body, &r) != nil || !slices.Contains(sandbox.AuditKinds, r.Kind) {
		return ""
	}
	words := string(r.Kind)
	if r.Call != "" && r.Kind != sandbox.AuditExec {
		words += "  " + firstLine(r.Call)
	}
	if p := r.Process; p != nil {
		words += l.p.dim(fmt.Sprintf("  %d of %d, user %d", p.PID, p.PPID, p.UID))
	}
	if about := auditAbout(r); about != "" {
		words += "  " + firstLine(about)
	}
	switch {
	case r.Denied != "":
		words += "  " + l.p.red("denied")
	case r.Missing:
		words += "  " + l.p.dim("no such program")
	case r.Limit != "":
		words += "  " + l.p.red(firstLine(r.Limit))
	}
	if r.Times > 1 {
		words += fmt.Sprintf("  %d times", r.Times)
	}
	if r.Untold > 0 {
		words += l.p.dim(fmt.Sprintf("  (and %d before that are not told)", r.Untold))
	}
	return words
}

// auditAbout is what a record is about besides who and how.
func auditAbout(r sandbox.AuditRecord) string {
	switch {
	case r.Reason != "":
		return r.Reason
	case r.Kind == sandbox.AuditGap:
		return "whoever watched was killed: what was done just before is not known"
	case len(r.Changes) > 0:
		var list []string
		for _, c := range r.Changes {
			list = append(list, string(c.Change)+" "+c.Path)
		}
		return strings.Join(list, ", ")
	case len(r.Argv) > 0:
		words := strings.Join(r.Argv, " ")
		if r.Argv[0] != r.Path {
			words = r.Path + ": " + words
		}
		return words
	}
	var parts []string
	if r.Path != "" {
		parts = append(parts, r.Path)
	}
	if r.To != "" {
		parts = append(parts, "-> "+r.To)
	}
	if r.Write && strings.HasPrefix(r.Call, "open") { // of the others the name says it
		parts = append(parts, "(to write)")
	}
	if len(r.Numbers) > 0 {
		parts = append(parts, fmt.Sprint(r.Numbers))
	}
	return strings.Join(parts, " ")
}
