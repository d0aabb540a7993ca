package main

import (
	"fmt"
	"maps"
	"os"

	"github.com/spf13/pflag"

	"github.com/sandtree/sandtree/sandbox"
)

// placement says which runtime a command wants.
type placement struct {
	id, backend, workspace string
	keep                   bool
	env                    []string
	repo, branch           string
}

func (p *placement) flags(f *pflag.FlagSet) {
	f.StringVar(&p.id, "id", "", "use the runtime with this `id`, or make it (default: a new one with an id of its own)")
	f.BoolVar(&p.keep, "keep", false, "leave the runtime running; it is found again by its id, also by other processes")
	f.StringVar(&p.backend, "backend", "", "`name` of the backend that places a new runtime (see sandtree config)")
	f.StringVar(&p.workspace, "workspace", "", "`directory` to work in (default: a fresh one, which ends with the runtime)")
	f.StringArrayVarP(&p.env, "env", "e", nil, "set a `NAME=value` in the runtime, or NAME to pass on ours; may be repeated. Values are masked in the journal")
	f.StringVar(&p.repo, "repo", "", "clone this `URL` into a directory, named as it is, in the workspace of a new runtime")
	f.StringVar(&p.branch, "branch", "", "`branch` of --repo to check out")
}

// spec is what p asks for. Its id is set. Code: Invalid, naming the flag.
func (a *app) spec(p placement) (sandbox.Spec, error) {
	c, err := a.config()
	if err != nil {
		return sandbox.Spec{}, err
	}
	env, err := a.variables(p.env)
	if err != nil {
		return sandbox.Spec{}, err
	}
	all := maps.Clone(c.Env)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, env)
	s := sandbox.Spec{
		ID: sandbox.ID(p.id), Limits: c.SandboxLimits(), Egress: c.SandboxEgress(), Audit: c.SandboxAudit(), OrphanAfter: c.OrphanAfter,
		Setup: sandbox.Setup{
			Env: all, Repository: p.repo, Branch: p.branch,
			GitToken: c.Git.Token, GitUser: c.Git.User, GitEmail: c.Git.Email,
		},
	}
	if p.keep && s.OrphanAfter == 0 {
		s.OrphanAfter = -1 // whoever keeps it does not want it gone after ten minutes
	}
	if p.id == "" {
		s.ID = sandbox.NewID()
	}
	if s.Workspace, err = workspace(p.workspace); err != nil {
		return s, err
	}
	return s, s.Check()
}

func workspace(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	path, err := absolute(dir)
	if err == nil {
		var stat os.FileInfo
		if stat, err = os.Stat(path); err == nil && !stat.IsDir() {
			err = fmt.Errorf("%s is no directory", path)
		}
	}
	if err != nil {
		return "", &sandbox.Error{Code: sandbox.Invalid, Op: "--workspace", Err: err}
	}
	return path, nil
}

// variables reads --env.
func (a *app) variables(list []string) (map[string]string, error) {
	env := map[string]string{}
	for _, s := range list {
		name, value, given := cut(s)
		if !given {
			name, value = s, a.getenv(s)
			if value == "" {
				return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "--env", Err: fmt.Errorf("%q has no '=', and no such variable is set here", s)}
			}
		}
		if err := sandbox.CheckEnv(name, value); err != nil {
			return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "--env", Err: err}
		}
		env[name] = value
	}
	return env, nil
}
