package main

import (
	"strings"
	"testing"

	"github.com/sandtree/sandtree/actors/journal"
)

// TestAuditRecords shows what programs did in lines that nothing in them can break.
func TestAuditRecords(t *testing.T) {
	var out strings.Builder
	l := &listing{w: &out}
	for _, body := range []string{
		`{"audit":"exec","process":{"pid":7,"ppid":3,"uid":1000},"call":"execve","path":"/bin/ls","argv":["ls","-l\u001b[2J\n"],"untold":4}`,
		`{"audit":"exec","call":"execve","path":"/nowhere","argv":["/nowhere"],"missing":true}`,
		`{"audit":"privilege","call":"mount","path":"none","to":"/mnt","numbers":[0],"denied":"EPERM"}`,
		`{"audit":"file","call":"openat","path":"/workspace/x","write":true}`,
		`{"audit":"limit","limit":"memory","times":2}`,
		`{"audit":"changed","changes":[{"path":"a","change":"added"},{"path":"b","change":"removed"}]}`,
		`{"audit":"gap"}`,
		`{"audit":"stopped","reason":"audit stopped: nobody watches"}`,
	} {
		if err := l.show(journal.Record{Type: journal.TypeAudit, Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 8 || strings.Contains(out.String(), "\x1b[2J") {
		t.Fatalf("shown is\n%s", out.String())
	}
	for i, want := range []string{
		"exec  7 of 3, user 1000  /bin/ls: ls -l", "exec  /nowhere  no such program", "privilege  mount  none -> /mnt [0]  denied",
		"file  openat  /workspace/x (to write)", "limit  memory  2 times", "changed  added a, removed b", "gap  whoever watched was killed",
		"stopped  audit stopped: nobody watches",
	} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("want %q in %q", want, lines[i])
		}
	}
}
