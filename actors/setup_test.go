package actors

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

func setupOrder(r *rig) Order {
	o := r.order("a")
	o.Spec.Setup = sandbox.Setup{
		Env: map[string]string{"B": "2", "A": "it's"}, Repository: "https://user:t0ken-value@git.example/team/pro.git", Branch: "it's",
	}
	b := &box{answers: map[string]sandbox.Observation{}, replies: map[string]sandbox.Observation{}, files: map[string][]string{
		"pro/.openhands": {"setup.sh", "pre-commit.sh"},
	}}
	b.dead = make(chan struct{})
	close(b.dead) // a home from before, whose server has died
	r.world.boxes["a"] = b
	return o
}

func TestSetUp(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		s, _, err := r.runtimes.Open(t.Context(), setupOrder(r))
		if err != nil {
			t.Fatal(err)
		}
		b := r.world.box("a")
		want := []string{
			`export A='it'\''s' B='2' GIT_CONFIG_COUNT='2' GIT_CONFIG_KEY_0='credential.https://git.example.helper' GIT_CONFIG_KEY_1='credential.https://git.example.helper'`,
			`git clone --branch 'it'\''s' -- 'https://git.example/team/pro.git' ./'.pro.part' && mv -T ./'.pro.part' ./'pro'`,
			`true`,
			`cd ./'pro' && chmod +x .openhands/setup.sh && source ./.openhands/setup.sh`,
			`.openhands/pre-commit.sh`,
		}
		expectRan := func(what string, n int) {
			t.Helper()
			b.mu.Lock()
			defer b.mu.Unlock()
			if len(b.ran) != n {
				t.Fatalf("%s: ran %q", what, b.ran)
			}
			for i, w := range want {
				if got := b.ran[n-len(want)+i]; !strings.Contains(got, w) {
					t.Errorf("%s: step %d is %q, want %q", what, i, got, w)
				}
			}
		}
		expectRan("cold", 5)
		if err := s.AddEnv(t.Context(), map[string]string{"LATER": "3"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()

		// An attach finds everything as it was.
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s, _, err = r.runtimes.Open(t.Context(), setupOrder2(r)); err != nil {
			t.Fatal(err)
		}
		if err := s.AddEnv(t.Context(), map[string]string{"LATER": "3"}); err != nil {
			t.Fatal(err)
		}
		b.mu.Lock()
		if len(b.ran) != 7 {
			t.Errorf("after an attach ran %q", b.ran[5:])
		}
		b.mu.Unlock()

		// A cold restart does it all again, and the variables that were added.
		b.kill(sandbox.Exit{Signal: 9})
		time.Sleep(time.Second)
		synctest.Wait()
		want[0] = strings.Replace(want[0], " GIT_CONFIG_KEY_0", " GIT_CONFIG_KEY_0", 1)
		expectRan("after a cold restart", 12)
		if got := b.ran[7]; !strings.Contains(got, "LATER='3'") {
			t.Errorf("what was added is lost: %s", got)
		}
		for _, rec := range r.store.recs {
			if strings.Contains(string(rec.Body), "t0ken") {
				t.Errorf("stored: %s", rec.Body)
			}
		}
		for _, command := range b.ran[1:5] {
			if strings.Contains(command, "t0ken") {
				t.Errorf("the token is in a command: %s", command)
			}
		}
	})
}

// setupOrder2 is the order of setupOrder, for the sandbox that is there.
func setupOrder2(r *rig) Order {
	b := r.world.boxes["a"]
	o := setupOrder(r)
	r.world.boxes["a"] = b
	return o
}

func TestFailingSetUp(t *testing.T) {
	for step, command := range map[string]string{
		"clone":               "git clone",
		".openhands/setup.sh": "source ./.openhands/setup.sh",
	} {
		t.Run(step, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				o := setupOrder(r)
				r.world.box("a").failing = command
				_, st, err := r.runtimes.Open(t.Context(), o)
				expectCode(t, "Open", err, sandbox.Invalid)
				e, ok := errors.AsType[*SetupError](err)
				if !ok || e.Step != step || e.ExitCode != 3 || e.Output != "no luck" {
					t.Fatalf("%v: %+v, %+v", err, e, st)
				}
				r.expectHistory("spec BUILDING_RUNTIME STARTING_RUNTIME RUNTIME_STARTED SETTING_UP_WORKSPACE ERROR STOPPED")
				r.world.box("a").failing = ""
				s, err := r.runtimes.Find(t.Context(), "a")
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Reopen(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Ready(t.Context()); err != nil {
					t.Errorf("reopened: %v", err)
				}
				if got := r.world.box("a").commands(); strings.Count(got, "git clone") != 2 {
					t.Errorf("a set-up that failed was not done again: %s", got)
				}
			})
		})
	}
}

// A git that is killed in the middle leaves a repository with an origin and without files, as the real one does.
func TestCloneThatWasKilledIsDoneAgain(t *testing.T) {
	need.Tool(t, "git")
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	shim := `#!/bin/bash
if [ "$1" != clone ] || [ -e ` + dir + `/killed ]; then exec ` + git + ` "$@"; fi
touch ` + dir + `/killed
for where; do :; done
` + git + ` init -q "$where" && ` + git + ` -C "$where" remote add origin ` + dir + `/origin
kill -9 $$
`
	if err := os.WriteFile(filepath.Join(dir, "git"), []byte(shim), 0o700); err != nil {
		t.Fatal(err)
	}
	bash := func(command string) error {
		cmd := exec.Command("bash", "-c", command)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir}
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	if err := bash("git init -q origin && cd origin && echo x >file && git add . && git -c user.name=a -c user.email=b commit -qm x"); err != nil {
		t.Fatal(err)
	}
	command := cloning(sandbox.Setup{Repository: filepath.Join(dir, "origin")}, "it's")
	if err := bash(command); err == nil {
		t.Error("a git that is killed is no failure")
	}
	for range 2 { // the second finds all done
		if err := bash(command + ` && [ -e "it's/file" ] && [ -z "$(ls -d .it*)" ]`); err != nil {
			t.Error(err)
		}
	}
}

func TestSetUpCutOffByDeathIsDoneAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		o := setupOrder(r)
		r.world.box("a").slow = "git clone"
		done := make(chan error, 1)
		go func() {
			_, _, err := r.runtimes.Open(t.Context(), o)
			done <- err
		}()
		time.Sleep(time.Second)
		b := r.world.box("a")
		b.kill(sandbox.Exit{Signal: 9})
		b.mu.Lock()
		b.slow = ""
		b.mu.Unlock()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := b.commands(); strings.Count(got, "git clone") != 2 || strings.Count(got, "source ./.openhands/setup.sh") != 1 {
			t.Errorf("ran: %s", got)
		}
	})
}

func TestDirectory(t *testing.T) {
	for repository, want := range map[string]string{
		"https://h/o/r.git": "r", "https://h/o/r": "r", "https://h/o/r/": "r", "git@h:o/r.git": "r", "git@h:r": "r", "/srv/r.git/": "r",
		"https://h/o/..": "repository", "": "repository", "https://h/o/.git": "o",
	} {
		if got := directory(repository); got != want {
			t.Errorf("directory(%q) = %q, want %q", repository, got, want)
		}
	}
}
