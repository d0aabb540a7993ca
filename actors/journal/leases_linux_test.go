package journal

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

func leases(t *testing.T, j *Journal) map[sandbox.ID]LeaseRow {
	t.Helper()
	rows, err := j.Leases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	by := map[sandbox.ID]LeaseRow{}
	for _, r := range rows {
		by[r.ID] = r
	}
	return by
}

func TestLeases(t *testing.T) {
	j := open(t, temp(t))
	ctx := t.Context()
	if _, err := j.Acquire(ctx, "held", "me", time.Hour); err != nil {
		t.Fatal(err)
	}
	lapsed, err := j.Acquire(ctx, "stalled", "me", time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	let, err := j.Acquire(ctx, "free", "me", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if err := j.SaveRuntime(ctx, RuntimeRow{ID: "free", Backend: "local", Epoch: let.Epoch(), Spec: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if err := let.Release(ctx); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Until(lapsed.Expires()) + time.Millisecond)
	all := leases(t, j)
	if r := all["held"]; r.Tenure != Held || !r.Left.IsZero() || r.Owner != "me" || r.Epoch != 1 || r.Backend != "" {
		t.Errorf("one that was not saved yet: %+v", r)
	}
	if r := all["stalled"]; r.Tenure != Stalled || !r.Left.Equal(lapsed.Expires()) {
		t.Errorf("one of this process that has lapsed: %+v", r)
	}
	if r := all["free"]; r.Tenure != Free || r.Left.Before(before) || time.Since(r.Left) > time.Minute || r.Backend != "local" || string(r.Spec) != "{}" {
		t.Errorf("one that was let go of: %+v", r)
	}
	if len(all) != 3 {
		t.Errorf("there are %d", len(all))
	}
}

func TestTenure(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	place, err := place()
	if err != nil {
		t.Skip("the system does not tell processes apart: ", err)
	}
	start, err := startTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	dead := place + " " + strconv.Itoa(cmd.Process.Pid) + " " + start
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	now := time.Now()
	soon, past, saved := now.Add(time.Minute), now.Add(-time.Minute), now.Add(-time.Hour)
	for name, c := range map[string]struct {
		owner, process string
		expires        time.Time
		want           Tenure
		left           time.Time
	}{
		"never taken":                     {"", "", time.UnixMilli(0), Free, saved},
		"released":                        {"me", self(), time.UnixMilli(0), Free, saved},
		"held":                            {"me", self(), soon, Held, time.Time{}},
		"held, of another place":          {"me", "boot pid:[1] 7 7", soon, Held, time.Time{}},
		"lapsed, its process lives":       {"me", self(), past, Stalled, past},
		"lapsed, of another place":        {"me", "boot pid:[1] 7 7", past, Free, past},
		"lapsed, its process dead":        {"me", dead, past, Free, past},
		"its process dead, not lapsed":    {"me", dead, soon, Free, now},
		"lapsed, the number is another's": {"me", place + " " + strconv.Itoa(os.Getpid()) + " 1", past, Free, past},
	} {
		got, left := tenure(c.owner, c.process, c.expires, saved, now)
		if got != c.want || !left.Equal(c.left) {
			t.Errorf("%s: %s, left %v; want %s, %v", name, got, left, c.want, c.left)
		}
	}
}
