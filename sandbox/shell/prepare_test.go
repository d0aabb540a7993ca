package shell

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// look prints what can be known of a shell from inside.
const look = `{ pwd; declare -p OLDPWD PWD; env | sort; tr '\0' '\n' </proc/$$/environ | sort; set -o; shopt; trap; alias; ulimit -a
	ls -l /proc/$$/fd | sed 's/.* \([0-9]* ->\)/\1/'; tty >/dev/null && echo a terminal; ls -id .; cat /proc/$$/cmdline | tr '\0' ' '
	grep -E 'Sig|Cap|NoNew' /proc/$$/status; umask; jobs; dirs; }`

var different = regexp.MustCompile(`\d{3,}|pts/\d+|SigQ:.*`) // what is random in each, or counts up

// TestPrepared compares a session whose shell was started before with one whose shell was not.
func TestPrepared(t *testing.T) {
	c := Config{Dir: t.TempDir(), Env: environ(t.TempDir())}
	look := func(c Config) string { return different.ReplaceAllString(run(t, start(t, c), look, 0).content, "…") }
	fresh := look(c)
	c.Prepared = prepare(t, c)
	prepared := strings.Split(look(c), "\n")
	for i, line := range strings.Split(fresh, "\n") {
		if i >= len(prepared) || prepared[i] != line {
			t.Fatalf("line %d of a fresh shell is %q; prepared ones have %q", i, line, prepared[min(i, len(prepared)):])
		}
	}
	if c.Prepared.bash != nil {
		t.Error("it was not taken")
	}
}

// TestPreparedAnywhere compares a session with one whose shell was started before it was known where, and at home where.
func TestPreparedAnywhere(t *testing.T) {
	c := Config{Dir: t.TempDir() + "/link", Env: environ(t.TempDir() + "/it's")}
	if err := os.Symlink(t.TempDir(), c.Dir); err != nil {
		t.Fatal(err)
	}
	look := func(c Config) string {
		return different.ReplaceAllString(run(t, start(t, c), look+"; echo ~ $DIRSTACK $_", 0).content, "…")
	}
	fresh := strings.Split(look(c), "\n")
	env, _ := homeless(c.Env)
	c.Prepared = prepare(t, Config{Env: env})
	prepared := strings.Split(look(c), "\n")
	for i, line := range fresh {
		if i >= len(prepared) || prepared[i] != line {
			t.Fatalf("line %d of a fresh shell is %q; prepared ones have %q", i, line, prepared[min(i, len(prepared)):])
		}
	}
	if c.Prepared.bash != nil {
		t.Error("it was not taken")
	}
}

// TestPreparedMoves has another directory come where a shell is that was started before.
func TestPreparedMoves(t *testing.T) {
	c := Config{Dir: t.TempDir() + "/a b", Env: environ(t.TempDir())}
	if err := os.Mkdir(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c.Prepared = prepare(t, c)
	if err := os.Rename(c.Dir, c.Dir+"~"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.Dir+"/new", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, c)
	if c.Prepared.bash != nil {
		t.Error("it was not taken")
	}
	if o := run(t, s, "ls; declare -p OLDPWD", 0); strings.TrimSpace(o.content) != "new\ndeclare -x OLDPWD" {
		t.Errorf("it sees %q", o.content)
	}
}

// TestPreparedUnfit has sessions that are not what the shell was started for, and one that has ended.
func TestPreparedUnfit(t *testing.T) {
	c := Config{Dir: t.TempDir(), Env: environ(t.TempDir())}
	p := prepare(t, c)
	for name, change := range map[string]func(*Config){
		"environment": func(c *Config) { c.Env = append(c.Env[:len(c.Env):len(c.Env)], "A=b") },
		"directory":   func(c *Config) { c.Dir = t.TempDir() },
		"pipes":       func(c *Config) { c.Pipes = true },
	} {
		other := c
		other.Prepared = p
		change(&other)
		run(t, start(t, other), "true", 0)
		if p.bash == nil {
			t.Errorf("taken for another %s", name)
		}
	}
	p.bash.kill()
	<-p.bash.gone
	c.Prepared = p
	run(t, start(t, c), "true", 0)
	p.Close()
	p.Close()
	if b, _ := p.take(c); b != nil {
		t.Error("taken after Close")
	}
}

func prepare(t *testing.T, c Config) *Prepared {
	t.Helper()
	p, err := Prepare(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}
