package drivertest

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
)

func testStart(t *testing.T, w *world) {
	b := w.open()
	before := time.Now()
	s := w.start(b, sandbox.Spec{ID: "one", Owner: "me", Epoch: 7})
	if got := w.run(s, "echo hello"); got != "hello" {
		t.Errorf("echo hello printed %q", got)
	}
	if err := s.Ping(w.context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
	l, ok := w.list(b, "me")["one"]
	if !ok || l.Owner != "me" || l.Epoch != 7 || l.Exited {
		t.Errorf("listed as %+v, %v", l, ok)
	}
	if slack := time.Minute; l.Created.Before(before.Add(-slack)) || l.Created.After(time.Now().Add(slack)) {
		t.Errorf("created %v, and it is %v", l.Created, time.Now())
	}
	w.stop(s)
	w.wantNone(b, "one")
	if err := s.Stop(w.context(), grace); err != nil {
		t.Errorf("second Stop: %v", err)
	}
	if err := b.Remove(w.context(), "one", backends.AnyEpoch, grace); err != nil {
		t.Errorf("Remove of what is gone: %v", err)
	}
	// The name is free again, and nothing is known of the one who had it.
	w.start(b, sandbox.Spec{ID: "one", Owner: "you", Epoch: 1})
	if l := w.list(b, "you")["one"]; l.Epoch != 1 {
		t.Errorf("the new one is listed as %+v", l)
	}
}

func testStartTwice(t *testing.T, w *world) {
	b := w.open()
	spec := sandbox.Spec{ID: "twice", Owner: "me"}
	first := w.start(b, spec)
	w.run(first, "kept=yes")
	second := w.start(b, spec)
	if got := w.run(second, "echo $kept"); got != "yes" {
		t.Errorf("the second start gave another sandbox: kept is %q", got)
	}
	if f, ok := first.Instance().(backends.Fresh); ok && !f.Fresh() {
		t.Error("the first start says that it made nothing")
	}
	if f, ok := second.Instance().(backends.Fresh); ok && f.Fresh() {
		t.Error("the second start says that it made the sandbox")
	}
	for i, s := range []*backends.Sandbox{first, second} {
		if f, ok := s.Instance().(backends.Found); ok && f.Found() != (i == 1) {
			t.Errorf("start %d says that it found the sandbox alive: %v", i+1, f.Found())
		}
	}
	if n := len(w.list(b, "")); n != 1 {
		t.Errorf("%d sandboxes are listed", n)
	}
}

func testStartAtOnce(t *testing.T, w *world) {
	const many = 4 // for each of two processes
	var wg sync.WaitGroup
	var mu sync.Mutex
	servers, fresh := map[string]int{}, 0
	for _, b := range []*backends.Backend{w.open(), w.open()} {
		for range many {
			wg.Go(func() {
				s, err := b.Start(w.context(), sandbox.Spec{ID: "atonce"})
				if err != nil {
					t.Errorf("Start: %v", err)
					return
				}
				defer s.Close()
				o, err := s.Do(w.context(), sandbox.Action{Args: sandbox.RunArgs{Command: "echo $SANDBOXD_PID"}}, nil)
				if err != nil {
					t.Errorf("Do: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				servers[strings.TrimSpace(o.Content)]++
				if f, ok := s.Instance().(backends.Fresh); ok && f.Fresh() {
					fresh++
				}
			})
		}
	}
	wg.Wait()
	if len(servers) != 1 || fresh > 1 {
		t.Errorf("servers by number: %v; %d starts say that they made it", servers, fresh)
	}
}

func testStartCanceled(t *testing.T, w *world) {
	b := w.open()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := b.Start(ctx, sandbox.Spec{ID: "canceled"})
	if err == nil {
		s.Close() // it was quicker than anybody looked at ctx; but it is there then
		return
	}
	w.wantCode("Start", err, sandbox.Canceled)
	w.wantNone(b, "canceled")
	// Later, in the middle of it: where, the infrastructure's speed decides, but never is half of one left.
	for n := range 8 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond<<n)
		s, err := b.Start(ctx, sandbox.Spec{ID: "canceled"})
		cancel()
		if err == nil {
			w.stop(s)
			break
		}
		w.wantCode("Start", err, sandbox.Canceled)
		w.wantNone(b, "canceled")
	}
}

func testEnvironment(t *testing.T, w *world) {
	t.Setenv("DRIVERTEST_SECRET", "of the controller")
	env := map[string]string{
		"PLAIN": "x", "EMPTY": "", "QUOTES": `'"$HOME` + "`id`\\", "LINEFEEDS": "a\nb\n", "BYTES": "\xff\xfe", "SPACES": "  a  b ",
	}
	s := w.start(w.open(), sandbox.Spec{ID: "environment", Env: env})
	for _, name := range slices.Sorted(maps.Keys(env)) {
		want := strings.Join(strings.Fields(hex(env[name])), " ")
		got := w.run(s, `printf %s "$`+name+`" | od -An -v -tx1`)
		if got := strings.Join(strings.Fields(got), " "); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if got := w.run(s, `echo "<${DRIVERTEST_SECRET-unset}>" "$PATH"`); !strings.HasPrefix(got, "<unset> /") {
		t.Errorf("the environment of the controller is in the sandbox, or no PATH: %q", got)
	}
}

func hex(s string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte(digits[s[i]>>4])
		b.WriteByte(digits[s[i]&15])
		b.WriteByte(' ')
	}
	return b.String()
}

func testRefused(t *testing.T, w *world) {
	d := w.into()
	b := backends.Open("test", d, backends.Config{})
	defer b.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, spec := range []sandbox.Spec{
		{ID: ""}, {ID: ".."}, {ID: "."}, {ID: ".hidden"}, {ID: "../x"}, {ID: "a/b"}, {ID: "a b"}, {ID: "a\x00b"}, {ID: "-a"},
		{ID: "ü"}, {ID: sandbox.ID(strings.Repeat("x", 65))},
		{ID: "ok", Env: map[string]string{"A=B": "x"}}, {ID: "ok", Env: map[string]string{"": "x"}},
		{ID: "ok", Env: map[string]string{"A": "x\x00y"}}, {ID: "ok", Workspace: "relative"},
	} {
		_, err := d.Start(t.Context(), spec)
		w.wantCode("driver's Start", err, sandbox.Invalid)
		_, err = b.Start(t.Context(), spec)
		w.wantCode("Start", err, sandbox.Invalid)
		if spec.ID != "ok" {
			_, err = d.Attach(t.Context(), spec.ID)
			w.wantCode("driver's Attach", err, sandbox.Invalid, sandbox.NotFound)
			w.wantCode("Remove", b.Remove(t.Context(), spec.ID, backends.AnyEpoch, 0), sandbox.Invalid)
		}
	}
	for _, workspace := range []string{file, filepath.Join(file, "below"), filepath.Join(filepath.Dir(file), "missing")} {
		if _, err := b.Start(t.Context(), sandbox.Spec{ID: "ok", Workspace: workspace}); err == nil {
			t.Errorf("a sandbox works in %s", workspace)
		}
	}
	if l := w.list(b, ""); len(l) != 0 {
		t.Errorf("refused, and there: %+v", l)
	}
	_, err := b.Attach(t.Context(), "missing", 1)
	w.wantCode("Attach", err, sandbox.NotFound)
}

// specs name one limit each.
var specs = map[string]sandbox.Spec{
	backends.LimitCPU:         {Limits: sandbox.Limits{CPU: 1}},
	backends.LimitCPUShares:   {Limits: sandbox.Limits{CPUShares: 512}},
	backends.LimitAffinity:    {Limits: sandbox.Limits{Affinity: "0"}},
	backends.LimitMemory:      {Limits: sandbox.Limits{Memory: 1 << 30}},
	backends.LimitSwap:        {Limits: sandbox.Limits{Swap: 1 << 20}},
	backends.LimitSwappiness:  {Limits: sandbox.Limits{Swappiness: 10}},
	backends.LimitDisk:        {Limits: sandbox.Limits{Disk: 1 << 30}},
	backends.LimitFiles:       {Limits: sandbox.Limits{Files: 10000}},
	backends.LimitDiskRead:    {Limits: sandbox.Limits{DiskRead: 10 << 20}},
	backends.LimitDiskWrite:   {Limits: sandbox.Limits{DiskWrite: 10 << 20}},
	backends.LimitNetwork:     {Limits: sandbox.Limits{Network: 1e6}},
	backends.LimitConnections: {Limits: sandbox.Limits{Connections: 10}},
	backends.LimitPorts:       {Limits: sandbox.Limits{Ports: "80,443"}},
	backends.LimitProcesses:   {Limits: sandbox.Limits{Processes: 200}},
	backends.LimitEgress:      {Egress: sandbox.Egress{Mode: sandbox.EgressDenyAll}},
}

func testLimits(t *testing.T, w *world) {
	d := w.into()
	b := backends.Open("test", d, backends.Config{})
	defer b.Close()
	var enforced []string
	if l, ok := d.(backends.Limiter); ok {
		enforced = l.Enforces()
	}
	for _, name := range backends.LimitNames {
		spec, ok := specs[name]
		if !ok {
			t.Fatalf("no spec names the limit %s", name)
		}
		spec.ID = "limits"
		if slices.Contains(enforced, name) {
			if err := b.Supports(spec); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		_, err := b.Start(t.Context(), spec)
		w.wantCode(name, err, sandbox.Unsupported)
	}
	if l := w.list(b, ""); len(l) != 0 {
		t.Errorf("refused, and there: %+v", l)
	}
	if slices.Contains(enforced, backends.LimitProcesses) {
		testProcesses(t, w, w.open())
	}
}

// testProcesses lets a fork bomb loose in a sandbox that may have few processes.
func testProcesses(t *testing.T, w *world, b *backends.Backend) {
	s := w.start(b, sandbox.Spec{ID: "bomb", Limits: sandbox.Limits{Processes: 100}})
	if slices.Contains(s.Unenforced(), backends.LimitProcesses) {
		t.Error("a limit that is named counts as not enforced")
	}
	// dash gives up at the first fork that fails; bash would try again for long, until timeout ends it.
	out := w.run(s, `timeout 10 sh -c 'i=0; while [ $i -lt 300 ]; do sleep 100005 & i=$((i+1)); done; echo "all"" of them"'; true`)
	if strings.Contains(out, "all of them") {
		t.Errorf("300 processes were started where 100 may be: %q", out)
	}
	w.stop(s)
}
