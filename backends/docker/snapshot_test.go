package docker

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/leak"
)

// TestSnapshotImage looks at what becomes of the container's own file system, and at what the engine tells of the image: no label by
// which the first sandbox is known, nothing of its variables; and that the image goes when nothing needs it any more.
func TestSnapshotImage(t *testing.T) {
	dockerd.Host(t)
	leak.Check(t)
	c := testConfig(t)
	c.User = "0"
	d, b := opened(t, c)
	start := func(spec sandbox.Spec) *backends.Sandbox {
		t.Helper()
		s, err := b.Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	do := func(s *backends.Sandbox, command string) string {
		t.Helper()
		o, err := s.Do(t.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: command, Blocking: true}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(o.Content)
	}
	images := func() []image.Summary {
		t.Helper()
		all, err := d.engine.ImageList(t.Context(), image.ListOptions{All: true, Filters: filters.NewArgs(
			filters.Arg("label", labelPrefix+"system="+d.system), filters.Arg("label", labelPrefix+"snapshot"))})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	s := start(sandbox.Spec{ID: "first", Owner: "somebody", Epoch: 4, Env: map[string]string{"TOKEN": "s3cr3t"}})
	do(s, "mkdir /installed; echo one >/installed/file; echo w >work")
	if _, err := s.Snapshot(t.Context(), "image"); err != nil {
		t.Fatal(err)
	}
	do(s, "echo two >/installed/file")
	all := images()
	if len(all) != 1 {
		t.Fatalf("%d images", len(all))
	}
	inspected, err := d.engine.ImageInspect(t.Context(), all[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	history, err := d.engine.ImageHistory(t.Context(), all[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	told, err := json.Marshal([]any{inspected, history})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(told), "s3cr3t") {
		t.Error("the engine tells a variable's value of the image")
	}
	for _, own := range []string{"id", "owner", "epoch", "blank"} {
		if v := inspected.Config.Labels[labelPrefix+own]; v != "" {
			t.Errorf("the image has label %s %q", own, v)
		}
	}
	fork := start(sandbox.Spec{ID: "second", Owner: "else", Epoch: 1, From: "image"})
	if got := do(fork, "cat /installed/file work; env | grep -c s3cr3t"); got != "one\nw\n0" {
		t.Errorf("the fork has %q", got)
	}
	if l, err := b.List(t.Context(), "somebody"); err != nil || len(l) != 1 || l[0].ID != "first" {
		t.Errorf("listed as somebody's: %+v, %v", l, err)
	}
	if err := b.RemoveSnapshot(t.Context(), "image"); err != nil {
		t.Fatal(err)
	}
	if got := do(fork, "cat /installed/file"); got != "one" {
		t.Errorf("then the fork has %q", got)
	}
	if err := b.Remove(t.Context(), "second", backends.AnyEpoch, 0); err != nil {
		t.Fatal(err)
	}
	if left := images(); len(left) != 0 {
		t.Errorf("%d images are left", len(left))
	}
}
