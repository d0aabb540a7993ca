package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Spec says what sandbox is wanted. The zero Spec but for ID is a valid one.
type Spec struct {
	ID    ID
	Owner string // label: whose it is; orphans are looked for by it
	Epoch uint64 // of the activation that starts it; the server inside refuses a lower one

	Workspace string            // host directory to work in; "" lets the driver make one that ends with the sandbox
	From      string            // name of the snapshot that a new sandbox begins with; "" is none
	Env       map[string]string // of every process in the sandbox; values are byte-exact and never logged
	Setup     Setup
	Limits    Limits
	Egress    Egress // what programs in the sandbox may connect to
	Idle      Idle   // when it rests
	Audit     Audit  // what is told of its programs

	// OrphanAfter is how long the sandbox lives without a controller; 0 means 10 minutes, negative for ever.
	OrphanAfter time.Duration
}

// Setup is the work to do in a fresh sandbox before it is ready, in this order.
type Setup struct {
	Env        map[string]string // exported in the shell (and so in later shells of this sandbox)
	Repository string            // URL or path to clone; "" none
	Branch     string            // to check out; "" the default one
	InitGit    bool              // make a repository where none is cloned and the workspace is empty
	GitToken   string            // credential for Repository's host; given by a credential helper, never stored
	GitUser    string            // user.name; "" leaves it
	GitEmail   string            // user.email; "" leaves it
	NoScripts  bool              // do not run .openhands/setup.sh, do not install .openhands/pre-commit.sh
}

// Check says whether s makes sense by itself, whatever the driver. Code: Invalid, naming the field.
func (s Spec) Check() error {
	if err := s.ID.Check(); err != nil {
		return err
	}
	invalid := func(field string, err error) error {
		return &Error{Code: Invalid, Op: "spec." + field, ID: s.ID, Err: err}
	}
	if s.Workspace != "" && !filepath.IsAbs(s.Workspace) {
		return invalid("workspace", fmt.Errorf("%q is not absolute", s.Workspace))
	}
	if s.From != "" {
		if err := checkName(s.From); err != nil {
			return invalid("from", fmt.Errorf("%.80q: %w", s.From, err))
		}
		if s.Workspace != "" {
			return invalid("from", errors.New("a sandbox that begins with a snapshot has a workspace of its own: leave out the workspace"))
		}
	}
	for k, v := range all(s.Env, s.Setup.Env) {
		if err := CheckEnv(k, v); err != nil {
			return invalid("env", err)
		}
	}
	if s.Setup.Branch != "" && s.Setup.Repository == "" {
		return invalid("setup.branch", errors.New("a branch needs a repository"))
	}
	if err := checkRepository(s.Setup.Repository); err != nil {
		return invalid("setup.repository", err)
	}
	if err := s.Limits.Check(); err != nil {
		return invalid("limits", err)
	}
	if err := s.Egress.Check(); err != nil {
		return invalid("egress", err)
	}
	if err := s.Idle.Check(); err != nil {
		return invalid("idle", err)
	}
	if err := s.Audit.Check(); err != nil {
		return invalid("audit", err)
	}
	return nil
}

// checkRepository refuses a URL of which it cannot be told whether it carries a password, or one that is no use there:
// git would write it into .git/config. The errors do not show the URL.
func checkRepository(repository string) error {
	if !strings.Contains(repository, "://") {
		return nil // a path, or git's own host:path
	}
	u, err := url.Parse(repository)
	if err != nil {
		return errors.New("is no URL")
	}
	if _, ok := u.User.Password(); ok && u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("a URL of scheme %s cannot have a password", u.Scheme)
	}
	return nil
}

// isEnvName says whether s can name a variable. It is no regular expression: every program that imports this package would
// compile that when it starts.
func isEnvName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// CheckEnv says whether k and v can be an environment variable.
func CheckEnv(k, v string) error {
	if !isEnvName(k) {
		return fmt.Errorf("%q is no name of an environment variable: want letters, digits and '_', not beginning with a digit", k)
	}
	for i := range len(v) {
		if v[i] == 0 {
			return fmt.Errorf("the value of %s has a NUL byte", k)
		}
	}
	return nil
}

func all(a, b map[string]string) map[string]string {
	m := maps.Clone(a)
	if m == nil {
		m = map[string]string{}
	}
	maps.Copy(m, b)
	return m
}
