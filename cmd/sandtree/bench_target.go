package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sandtree/sandtree/backends/standard"
	"github.com/sandtree/sandtree/bench/target"
	"github.com/sandtree/sandtree/sandbox"
)

// targetFlags say what bench measures.
type targetFlags struct {
	kind, backend, command, container string
	urls                              []string
}

func (t *targetFlags) flags(f *pflag.FlagSet) {
	f.StringVar(&t.backend, "backend", "", "`name` of the backend of ours that is measured (see sandtree config)")
	f.StringVar(&t.kind, "target", "backend", "`kind` of what is measured: "+strings.Join(targetKinds, ", "))
	f.StringArrayVar(&t.urls, "url", nil, "`URL` of a server, for --target openhands; several are as many runtimes")
	f.StringVar(&t.command, "command", "", "`command line` in which {command} is replaced, for --target command")
	f.StringVar(&t.container, "container", "", "`name` of a container that runs, for --target docker")
}

// completes tells the shell what the flags of bench can be.
func (t *targetFlags) completes(cmd *cobra.Command) {
	for flag, values := range map[string][]string{"backend": backendNames(), "target": targetKinds} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flags are there
	}
}

var targetKinds = []string{"backend", "exec", "docker", "openhands", "command"}

// needs are the flag that each kind has to have, and by which it is recognised.
func (t targetFlags) check() error {
	invalid := func(flag, format string, args ...any) error {
		return &sandbox.Error{Code: sandbox.Invalid, Op: flag, Err: fmt.Errorf(format, args...)}
	}
	if !slices.Contains(targetKinds, t.kind) {
		return invalid("--target", "there is no kind %q; want one of %s", t.kind, strings.Join(targetKinds, ", "))
	}
	for _, x := range []struct {
		flag, kind string
		given      bool
		must       bool
	}{
		{"--url", "openhands", len(t.urls) > 0, true},
		{"--command", "command", t.command != "", true},
		{"--container", "docker", t.container != "", true},
		{"--backend", "backend", t.backend != "", false},
	} {
		switch {
		case x.given && t.kind != x.kind:
			return invalid(x.flag, "it belongs to --target %s, not %s", x.kind, t.kind)
		case x.must && !x.given && t.kind == x.kind:
			return invalid("--target", "%s needs %s", x.kind, x.flag)
		}
	}
	return nil
}

// target opens what is measured.
func (a *app) target(ctx context.Context, f targetFlags) (target.Target, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	switch f.kind {
	case "exec":
		return target.Exec(), nil
	case "docker":
		return target.DockerExec("docker", f.container), nil
	case "command":
		return errOr(target.Template(f.command))
	case "openhands":
		return errOr(target.NewOpenHands(a.getenv("SESSION_API_KEY"), f.urls...))
	}
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	name := cmp.Or(f.backend, c.Backend)
	driver := standard.Drivers()[name]
	if driver == nil {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "--backend", Err: fmt.Errorf("there is no %q; there are %s", name, strings.Join(backendNames(), ", "))}
	}
	return errOr(target.Open(ctx, target.Config{Backend: name, Driver: driver, Values: c.Backends[name], Environ: a.env,
		Limits: c.SandboxLimits(), Log: a.log()}))
}

// errOr keeps a nil pointer from becoming a target that is not nil.
func errOr[T target.Target](t T, err error) (target.Target, error) {
	if err != nil {
		return nil, err
	}
	return t, nil
}
