package main

import (
	"slices"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
)

func TestTold(t *testing.T) {
	c := server.Config{Key: "from the command line", Epoch: 1}
	f := &flags{}
	rest, err := f.told([]string{"A=1", "SANDBOXD_KEY=k=\n", "SANDBOXD_EPOCH=18446744073709551615", "SANDBOXD_OWNER=me", "SANDBOXD_PIDS=x"}, &c)
	if err != nil || c.Key != "k=\n" || c.Epoch != 1<<64-1 || c.Owner != "me" || f.owner != "me" || f.epoch != c.Epoch {
		t.Errorf("%+v, %v", c, err)
	}
	if !slices.Equal(rest, []string{"A=1", "SANDBOXD_PIDS=x"}) {
		t.Errorf("programs get %q", rest)
	}
	for _, epoch := range []string{"", "-1", "x"} {
		if _, err := f.told([]string{"SANDBOXD_EPOCH=" + epoch}, &c); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("epoch %q: %v", epoch, err)
		}
	}
}
