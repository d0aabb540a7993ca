package runtimetest

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// A Place opens runtimes for the conformance suite: what the tests of OpenHands' runtimes demand of a server, row by row,
// and the musts and shoulds of a server that their clients can use.
type Place struct {
	// Open gives a runtime with an empty workspace of its own, where its shell starts, and sees to it that it is closed when
	// t ends. It is called from several tests at a time.
	Open func(t *testing.T, w Want) Opened
}

// Want is what a case asks of the runtime that it is given.
type Want struct {
	Soft    time.Duration     // the soft timeout, of whole seconds; 0 is the default
	Env     map[string]string // of the server, as its launcher gives it
	Jupyter bool              // the plugins jupyter and agent_skills
	Browser bool
	User    bool // programs run as the user openhands, where the server is root's
}

// Opened is a runtime and what else can be done with it.
type Opened struct {
	Runtime sandbox.Runtime
	Soft    time.Duration                               // the soft timeout that it has
	Dial    func(ctx context.Context) (net.Conn, error) // to the server, for what is about HTTP itself
	Key     string                                      // that requests must bring
	Browser bool                                        // it has a browser if there is any, whatever a case wants
	Viewer  bool                                        // it serves files to browsers, as OpenHands' launchers expect
	Restart func()                                      // ends the server and starts it again, with the same home; nil: cannot be done
}

// A Row is one case of the suite.
type Row struct {
	Group string // the table that the row stands in
	Name  string
	About string // what it asserts
	Needs []string

	want  Want
	alone bool // no other case runs at the same time: it looks at what belongs to the whole machine
	run   func(*site)
	lacks func(s *site, missing string) // what is asserted where it lacks something; nil: that the shell has no such program
}

// Rows are all cases, in the order of the tables.
func Rows() []Row {
	var all []Row
	for _, g := range []struct {
		name string
		rows []Row
	}{
		{"test_bash.py", bashRows}, {"test_aci_edit.py", editRows}, {"tests/runtime", otherRows}, {"test_bash_session.py", sessionRows},
		{"must", mustRows}, {"should", shouldRows},
	} {
		for _, r := range g.rows {
			r.Group = g.name
			all = append(all, r)
		}
	}
	return all
}

// Conform runs the conformance suite. A case that needs something which the sandbox lacks asserts how that is refused.
func Conform(t *testing.T, p Place) {
	group, rows := "", Rows()
	for i, r := range rows {
		if r.Group == group {
			continue
		}
		group = r.Group
		t.Run(strings.ReplaceAll(group, "/", "_"), func(t *testing.T) {
			for _, r := range rows[i:] {
				if r.Group == group {
					t.Run(r.Name, func(t *testing.T) {
						if !r.alone {
							t.Parallel()
						}
						r.play(t, p)
					})
				}
			}
		})
	}
}

func (r Row) play(t *testing.T, p Place) {
	o := p.Open(t, r.want)
	s := &site{rig: &rig{t, o.Runtime}, Opened: o}
	if s.Soft == 0 {
		s.Soft = defaultSoft
	}
	s.shell = s.hasShell()
	if s.shell {
		s.dir = strings.TrimSpace(s.cmd("pwd").text)
	}
	for _, need := range r.Needs {
		if s.has(need) {
			continue
		}
		t.Logf("there is no %s here: the case asserts how that is refused", need)
		switch {
		case need == needShell:
			s.withoutShell()
		case r.lacks != nil:
			r.lacks(s, need)
		default:
			s.without(need)
		}
		return
	}
	r.run(s)
}

const defaultSoft = 10 * time.Second

// A site is a runtime in a case of the conformance suite.
type site struct {
	*rig
	Opened
	dir   string // the workspace, as the shell calls it
	shell bool
}
