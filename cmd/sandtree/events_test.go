package main

import (
	"strings"
	"syscall"
	"testing"
)

func TestEventsFollowsAnotherProcess(t *testing.T) {
	u := newUser(t)
	u.run("run", "--keep", "--id", "web", "true").want(t, 0)
	defer u.run("rm", "web")
	f := u.start("events", "-f", "web")
	f.until("STOPPED") // it has told the past, and waits
	acts := u.start("run", "--id", "web", "echo from-afar; sleep 60")
	acts.until("from-afar")
	f.until("echo from-afar") // while the command runs: nothing but the event wakes us
	signalTo(t, acts, syscall.SIGINT)
	acts.wait().want(t, 130)
	f.until("exit 130")
	signalTo(t, f, syscall.SIGINT)
	f.wait().want(t, 130)
}

func TestEvents(t *testing.T) {
	u := newUser(t)
	u.run("events").want(t, 3).wantErr(t, "nothing has been run")
	u.run("events", "--json").want(t, 3).wantErr(t, `"code":"not_found"`)
	u.run("ls").want(t, 0, "ID")
	if left := u.run("ls", "--json").want(t, 0); left.out != "[]\n" {
		t.Errorf("no runtimes as JSON: %q", left.out)
	}
	u.run("run", "--id", "a", "echo x").want(t, 0)
	u.run("run", "--id", "b", "echo y").want(t, 0)
	u.run("events").want(t, 0, "echo y", "│ y", "READY") // the last one
	u.run("events", "nobody").want(t, 3).wantErr(t, "nobody")
	u.run("events", "a", "-f", "--trajectory").want(t, 2)

	all := objects(t, u.run("events", "a", "--json").want(t, 0).out)
	for i, e := range all {
		if e["seq"] != float64(i+1) || e["runtime"] != "a" || e["type"] == "" || e["body"] == nil {
			t.Errorf("event %d: %v", i+1, e)
		}
	}
	after := objects(t, u.run("events", "a", "--json", "--after", "5").want(t, 0).out)
	if len(after) != len(all)-5 || after[0]["seq"] != 6.0 {
		t.Errorf("%d events after 5 of %d, first %v", len(after), len(all), after[0])
	}
	u.run("ls", "-a").want(t, 0, "a ", "b ", "ENDED")
	if rows := u.run("ls", "-a", "--json").want(t, 0); !strings.Contains(rows.out, `"alive":false`) {
		t.Errorf("runtimes as JSON: %s", rows.out)
	}
	u.run("rm", "--ended").want(t, 0, "a\n", "b\n")
	u.run("events", "a").want(t, 3)
}
