package actors

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// A furnisher sets a fresh sandbox up, through the same shell that actions will use.
type furnisher struct {
	sandbox Sandbox
	spec    sandbox.Spec
	env     map[string]string // added since the sandbox was first set up
}

// A SetupError is the failure of a step of the set-up.
type SetupError struct {
	Step     string // "clone", ".openhands/setup.sh", …
	ExitCode int    // -1 if it did not end in time
	Output   string // the end of it
}

func (e *SetupError) Error() string {
	how := fmt.Sprintf("exit code %d", e.ExitCode)
	if e.ExitCode == -1 {
		how = "not done in time"
	}
	if e.Output == "" {
		return fmt.Sprintf("%s: %s", e.Step, how)
	}
	return fmt.Sprintf("%s: %s: %s", e.Step, how, e.Output)
}

const (
	setupTimeout  = 10 * time.Minute // for a clone and for a script; OpenHands gives its script as long
	quickTimeout  = time.Minute      // for what is done in no time
	outputKept    = 2000             // bytes of the output of a failing step
	scriptsDir    = ".openhands"
	setupScript   = "setup.sh"
	commitScript  = "pre-commit.sh"
	originalsMark = "This hook was installed by OpenHands" // what theirs and ours are known by
)

// workspace exports the variables, clones or makes the repository, and runs its set-up script. root is the directory of
// the scripts, relative to the workspace.
func (f furnisher) workspace(ctx context.Context) (root string, err error) {
	s := f.spec.Setup
	vars := maps.Clone(s.Env)
	if vars == nil {
		vars = map[string]string{}
	}
	maps.Copy(vars, gitVars(vars, s))
	maps.Copy(vars, f.env)
	if err := f.export(ctx, vars); err != nil {
		return "", err
	}
	root = "."
	switch {
	case s.Repository != "":
		root = directory(s.Repository)
		err = f.clone(ctx, root)
	case s.InitGit:
		_, err = f.run(ctx, "git init", quickTimeout, `if [ -z "$(ls -A)" ]; then git init -q .; fi`)
	}
	if err != nil || s.NoScripts {
		return root, err
	}
	if has, err := f.has(ctx, root, setupScript); err != nil || !has {
		return root, err
	}
	return root, f.script(ctx, root)
}

// export makes variables known to the shell, and to those that may follow it.
func (f furnisher) export(ctx context.Context, vars map[string]string) error {
	if len(vars) == 0 {
		return nil
	}
	if err := f.sandbox.SetEnv(ctx, vars); err != nil {
		return err
	}
	_, err := f.run(ctx, "environment", quickTimeout, exports(vars))
	return err
}

// clone clones the repository, unless that has been done: the workspace of a sandbox that died is still there.
func (f furnisher) clone(ctx context.Context, dir string) error {
	_, err := f.run(ctx, "clone", setupTimeout, cloning(f.spec.Setup, dir))
	return err
}

// cloning is the command. The clone gets its name when it is whole: one that was cut off has an origin and no files.
func cloning(s sandbox.Setup, dir string) string {
	branch := ""
	if s.Branch != "" {
		branch = "--branch " + quote(s.Branch) + " "
	}
	d, part, url := "./"+quote(dir), "./"+quote("."+dir+".part"), quote(s.Repository)
	return fmt.Sprintf(`if [ "$(git -C %s remote get-url origin 2>/dev/null)" != %s ]; then rm -rf %s`+
		` && GIT_TERMINAL_PROMPT=0 git clone %s-- %s %s && mv -T %s %s; fi`, d, url, part, branch, url, part, part, d)
}

// has says whether there is a script in the repository.
func (f furnisher) has(ctx context.Context, root, script string) (bool, error) {
	names, err := f.sandbox.List(ctx, root+"/"+scriptsDir)
	switch sandbox.CodeOf(err) {
	case "":
		return slices.Contains(names, script), nil
	case sandbox.NotFound, sandbox.Invalid: // no such directory, or it is none
		return false, nil
	}
	return false, err
}

// script runs the set-up script in the shell itself, so that what it exports and defines stays; its options and its
// directory do not.
func (f furnisher) script(ctx context.Context, root string) error {
	before, err := f.run(ctx, "working directory", quickTimeout, "true")
	if err != nil {
		return err
	}
	const path = scriptsDir + "/" + setupScript
	_, err = f.run(ctx, path, setupTimeout, "cd ./"+quote(root)+" && chmod +x "+path+" && source ./"+path)
	if err != nil {
		return err
	}
	if dir := before.Metadata.WorkingDir; dir != nil {
		_, err = f.run(ctx, "working directory", quickTimeout, "set +eu; cd "+quote(*dir))
	}
	return err
}

// hooks installs the repository's pre-commit script as a hook of git. A hook that is there already goes on being run.
func (f furnisher) hooks(ctx context.Context, root string) error {
	if f.spec.Setup.NoScripts {
		return nil
	}
	if has, err := f.has(ctx, root, commitScript); err != nil || !has {
		return err
	}
	const path = scriptsDir + "/" + commitScript
	hook := strings.Join([]string{
		"#!/bin/bash",
		"# " + originalsMark + ", or as they do it. It runs " + path + ", after the hook that was here before.",
		`if [ -x .git/hooks/pre-commit.local ]; then .git/hooks/pre-commit.local "$@" || exit; fi`,
		"if [ -x " + path + " ]; then source " + path + "; exit; fi",
		`echo "` + path + ` is missing or cannot be run" >&2`,
		"exit 0", ""}, "\n")
	_, err := f.run(ctx, path, quickTimeout, `(cd ./`+quote(root)+` && if [ -d .git ]; then mkdir -p .git/hooks && chmod +x `+path+
		` && cd .git/hooks && if [ -e pre-commit ] && ! grep -qF `+quote(originalsMark)+` pre-commit; then mv pre-commit pre-commit.local && chmod +x pre-commit.local; fi`+
		` && printf %s `+quote(hook)+` > pre-commit && chmod +x pre-commit; fi)`)
	return err
}

// run has one command run in the shell. What it does is not on record: it may hold secrets.
func (f furnisher) run(ctx context.Context, step string, limit time.Duration, command string) (sandbox.RunResult, error) {
	seen, err := f.sandbox.Do(ctx, sandbox.Action{
		ID:      sandbox.NewActionID(),
		Timeout: limit,
		Args:    sandbox.RunArgs{Command: command, Blocking: true, Hidden: true},
	}, nil)
	if err != nil {
		return sandbox.RunResult{}, err
	}
	if seen.Interrupted() { // by the death of the sandbox, which is not the step's fault
		return sandbox.RunResult{}, failure(sandbox.Lost, step, f.spec.ID, seen.Content)
	}
	r, ok := seen.Result.(sandbox.RunResult)
	if ok && r.Metadata.ExitCode == 0 {
		return r, nil
	}
	e := &SetupError{Step: step, ExitCode: r.Metadata.ExitCode, Output: tail(seen.Content)}
	if !ok {
		e.ExitCode = -1
	}
	if e.ExitCode == -1 {
		if err := f.free(ctx); err != nil {
			return r, err
		}
	}
	return r, &sandbox.Error{Code: sandbox.Invalid, Op: "set up", ID: f.spec.ID, Err: e}
}

// endings are typed, one after another, at a step that does not end.
var endings = []string{"C-c", "C-c", `C-\`}

// endingTimeout is how long each may take: a git that is interrupted removes what it has cloned.
const endingTimeout = 5 * time.Second

// free ends what a step has left running in the shell: who opens the runtime again begins with a shell that is free. A
// step that clings to it costs the sandbox all its processes.
func (f furnisher) free(ctx context.Context) error {
	for _, key := range endings {
		seen, err := f.sandbox.Do(ctx, sandbox.Action{
			ID:      sandbox.NewActionID(),
			Timeout: endingTimeout,
			Args:    sandbox.RunArgs{Command: key, IsInput: true, Blocking: true, Hidden: true},
		}, nil)
		if err != nil {
			return err
		}
		r, ok := seen.Result.(sandbox.RunResult)
		if !ok || r.Metadata.ExitCode != -1 || strings.HasPrefix(seen.Content, nothingRuns) {
			return nil
		}
	}
	if err := f.sandbox.Halt(ctx); err != nil && sandbox.CodeOf(err) != sandbox.Unsupported {
		return err
	}
	return nil
}

// nothingRuns begins the answer to input that nobody waits for.
const nothingRuns = "ERROR: No previous running command"

// tail is the end of an output, from the beginning of a line.
func tail(s string) string {
	s = strings.TrimSpace(s)
	if len(s) <= outputKept {
		return s
	}
	s = s[len(s)-outputKept:]
	if _, rest, ok := strings.Cut(s, "\n"); ok {
		return rest
	}
	return s
}
