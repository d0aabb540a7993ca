package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/standard"
	"github.com/sandtree/sandtree/internal/cli"
	"github.com/sandtree/sandtree/supervisor/config"
)

func doctorCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check that this machine has what sandtree needs",
		Long: `Check that this machine has what sandtree needs, and say what to do where it has not. What is marked "note" works,
but you should know of it. The exit status is 1 if something fails.`,
		Args: wants(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := examine(cmd.Context(), a)
			if err := report(a, findings); err != nil {
				return err
			}
			if slices.ContainsFunc(findings, func(f finding) bool { return f.State == failing }) {
				return cli.Status(1)
			}
			return nil
		},
	}
}

// A finding is what is said of one thing.
type finding struct {
	Name   string `json:"name"`
	State  string `json:"state"` // ok, note, fail
	Detail string `json:"detail"`
}

const (
	fine    = "ok"
	noted   = "note"
	failing = "fail"
)

func found(name, detail string, err error) finding {
	if err != nil {
		return finding{name, failing, err.Error()}
	}
	return finding{name, fine, detail}
}

func examine(ctx context.Context, a *app) []finding {
	c, err := a.config()
	if err != nil {
		return []finding{found("configuration", "", err)}
	}
	detail := "defaults"
	if c.File != "" {
		detail = c.File
	}
	all := []finding{found("configuration", detail, nil), stateDirectory(c), history(c)}
	all = append(all, backend(ctx, a, c)...)
	return append(all, orphans(ctx, a), pool(c),
		tool("bash", failing, "every sandbox of the local backend has one as its shell"),
		tool("git", noted, "needed to clone repositories into a workspace"))
}

func stateDirectory(c *config.Loaded) finding {
	err := os.MkdirAll(c.StateDir, 0o700)
	if err == nil {
		var f *os.File
		if f, err = os.CreateTemp(c.StateDir, ".doctor-*"); err == nil {
			f.Close()
			err = os.Remove(f.Name())
		}
	}
	if err != nil {
		err = fmt.Errorf("%w: choose another with --state-dir or SANDTREE_STATE_DIR", err)
	}
	return found("state directory", c.StateDir, err)
}

func history(c *config.Loaded) finding {
	j, err := journal.Open(c.JournalConfig())
	if err == nil {
		err = j.Close()
	}
	return found("journal", c.JournalConfig().Path, err)
}

// backend looks at the one that is used if no other is asked for.
func backend(ctx context.Context, a *app, c *config.Loaded) []finding {
	name := "backend " + c.Backend
	open := standard.Drivers()[c.Backend]
	if open == nil {
		return []finding{found(name, "", fmt.Errorf("there is none of this name; set backend to one of %s", strings.Join(backendNames(), ", ")))}
	}
	driver, err := open(backends.Options{StateDir: c.StateDir, Environ: a.env, Values: c.Backends[c.Backend], Log: a.log()})
	if err != nil {
		return []finding{found(name, "", err)}
	}
	b := backends.Open(c.Backend, driver, backends.Config{Log: a.log()})
	a.closers = append(a.closers, b.Close)
	unfit := b.Check(ctx)
	all := []finding{found(name, "ready", unfit)}
	if c.Backend == "local" {
		all = append(all, finding{"isolation", noted, unisolated})
	}
	if i, ok := driver.(interface{ Isolation() (string, error) }); ok && unfit == nil {
		all = append(all, isolation(i.Isolation()))
	}
	return append(all, limits(driver), auditing(driver))
}

// isolation tells how well sandboxes are isolated, and why no better.
func isolation(tier string, lacks error) finding {
	if lacks != nil {
		return finding{"isolation", noted, tier + "; not " + lacks.Error()}
	}
	return finding{"isolation", fine, tier}
}

func limits(d backends.Driver) finding {
	var enforced []string
	if l, ok := d.(backends.Limiter); ok {
		enforced = l.Enforces()
	}
	missing := slices.DeleteFunc(slices.Clone(backends.LimitNames), func(n string) bool { return slices.Contains(enforced, n) })
	if len(missing) == 0 {
		return finding{"limits", fine, "all are enforced"}
	}
	detail := "not enforced here, and refused when asked for: " + strings.Join(missing, ", ")
	if len(enforced) > 0 {
		detail = "enforced: " + strings.Join(enforced, ", ") + "; " + detail
	}
	return finding{"limits", noted, detail}
}

// auditing tells what can be told of programs.
func auditing(d backends.Driver) finding {
	var names []string
	var lacks error
	if a, ok := d.(backends.Auditor); ok {
		names, lacks = a.Audits()
	}
	missing := slices.DeleteFunc(slices.Clone(backends.AuditNames), func(n string) bool { return slices.Contains(names, n) })
	if len(missing) == 0 {
		return finding{"audit", fine, "all can be told: " + strings.Join(names, ", ")}
	}
	detail := "cannot be told here, and refused when asked for: " + strings.Join(missing, ", ")
	if len(names) > 0 {
		detail = "can be told: " + strings.Join(names, ", ") + "; " + detail
	}
	if lacks != nil {
		detail += ": " + lacks.Error()
	}
	return finding{"audit", noted, detail}
}

// pool tells how many warm sandboxes a process that drives runtimes holds.
func pool(c *config.Loaded) finding {
	if c.Pool.Most == 0 {
		return finding{"pool", fine, "none: pool.most says how many warm sandboxes to hold"}
	}
	return finding{"pool", fine, fmt.Sprintf("%d to %d warm sandboxes in each process that drives runtimes", c.Pool.Least, c.Pool.Most)}
}

func tool(name, state, why string) finding {
	path, err := exec.LookPath(name)
	if err != nil {
		return finding{name, state, "not on PATH: " + why}
	}
	return finding{name, fine, path}
}

func report(a *app, findings []finding) error {
	if a.json {
		return writeJSON(a.call.Stdout, findings)
	}
	p := a.paint(a.call.Stdout)
	for _, f := range findings {
		mark := map[string]string{fine: p.green("ok  "), noted: p.yellow("note"), failing: p.red("FAIL")}[f.State]
		if _, err := fmt.Fprintf(a.call.Stdout, "%s  %-16s %s\n", mark, f.Name, f.Detail); err != nil {
			return err
		}
	}
	return nil
}
