package main

import (
	"os"
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

// Whoever sends the variables may die before the key, which comes last.
func TestWantKey(t *testing.T) {
	for _, c := range []struct {
		listen, envFile, key string
		refused              bool
	}{
		{"tcp:0.0.0.0:60000", "-", "", true},
		{"tcp:0.0.0.0:60000", "-", "k", false},
		{"tcp:127.0.0.1:8000", "", "", false}, // somebody's choice, who is warned
		{"unix:/run/box/sock", "-", "", false},
	} {
		f := &flags{listen: c.listen, envFile: c.envFile}
		if err := f.wantKey(c.key); (sandbox.CodeOf(err) == sandbox.Invalid) != c.refused {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestStandardInputCutOff(t *testing.T) {
	old := os.Stdin
	defer func() { os.Stdin = old }()
	for text, want := range map[string]int{
		"": 0, "\x00": 0, "A=1\x00": -1, "A=1\x00SANDBOXD_KEY=ab": -1, "A=1\x00SANDBOXD_KEY=ab\x00": -1, "A=1\x00B=2\x00\x00": 2, "A=": -1,
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteString(text); err != nil {
			t.Fatal(err)
		}
		w.Close()
		os.Stdin = r
		env, err := readEnv("-", os.Stdin)
		r.Close()
		if want < 0 && sandbox.CodeOf(err) != sandbox.Invalid || want >= 0 && (err != nil || len(env) != want) {
			t.Errorf("%q: %q, %v", text, env, err)
		}
	}
}

// Whoever is told through others, as a container is, must not wait for the end of its standard input.
func TestStandardInputStaysOpen(t *testing.T) {
	old := os.Stdin
	defer func() { os.Stdin = old }()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	os.Stdin = r
	go func() {
		for _, part := range []string{"A=1", "\x00B=", "\x00", "\x00"} {
			_, _ = w.WriteString(part)
		}
	}()
	if env, err := readEnv("-", os.Stdin); err != nil || !slices.Equal(env, []string{"A=1", "B="}) {
		t.Errorf("%q, %v", env, err)
	}
}
