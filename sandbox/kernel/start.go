package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
)

// launch starts a kernel for language. Codes: NotFound, Unsupported, Unavailable, Internal.
func (ks *Kernels) launch(ctx context.Context, language string, env []string, cwd string) (*process, error) {
	dir, id, err := ks.place()
	if err != nil {
		return nil, &sandbox.Error{Code: placeCode(err), Op: "kernel.Start", Err: fmt.Errorf("no directory for its sockets, as /tmp that its user can write to: %w", err)}
	}
	l := &launch{dir: dir, id: id, env: env, cwd: cwd, skills: ks.config.Skills, config: ks.config.Child}
	var p *process
	if language == DefaultLanguage {
		p, err = ks.launchPython(ctx, l, pythons(env))
	} else {
		var ok bool
		if l.prog, ok = findSpec(env, language); !ok {
			return nil, noSpec(env, language)
		}
		p, err = l.begin(ctx)
	}
	switch {
	case err == nil:
		ks.config.Log.Info("a kernel has started", "language", language, "pid", p.child.PID, "program", l.prog.Argv[0])
		return p, nil
	case ks.life.Err() != nil:
		return nil, stopping()
	}
	return nil, unstarted(language, err)
}

// placeCode says whether it would help to try again: where there is no place that its user may write to, it would not, and whoever
// waits would wait in vain.
func placeCode(err error) sandbox.Code {
	for _, lasting := range []error{fs.ErrPermission, fs.ErrNotExist, syscall.EROFS} {
		if errors.Is(err, lasting) {
			return sandbox.Unsupported
		}
	}
	return sandbox.Unavailable
}

// unstarted is the error for a kernel that begin could not start.
func unstarted(language string, err error) error {
	if errors.Is(err, errWithout) {
		return &sandbox.Error{Code: sandbox.Unsupported, Op: "kernel.Start", Err: errors.New(install)}
	}
	return &sandbox.Error{Code: sandbox.Unavailable, Op: "kernel.Start", Err: fmt.Errorf("the %s kernel could not be started: %w", language, err)}
}

// launchPython tries one interpreter after the other, that which was found the last time first. The error is that of the
// first that has ipykernel and yet failed, or errWithout.
func (ks *Kernels) launchPython(ctx context.Context, l *launch, all []string) (*process, error) {
	ks.mu.Lock()
	if i := slices.Index(all, ks.python); i > 0 {
		all = slices.Insert(slices.Delete(all, i, i+1), 0, ks.python)
	}
	ks.mu.Unlock()
	id, failed := l.id, errWithout
	for i, path := range all {
		l.id = id + "-" + strconv.Itoa(i) // the files of the one before may be there
		l.prog = program{Argv: []string{path}, Language: "python", ours: true}
		p, err := l.begin(ctx)
		if err == nil {
			ks.mu.Lock()
			ks.python = path
			ks.mu.Unlock()
			return p, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		l.dir.drop(l.id + ".json")
		if !errors.Is(err, errWithout) && errors.Is(failed, errWithout) {
			failed = fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil, failed
}

// place gives the directory that kernels are met in, and a name in it for the next one.
func (ks *Kernels) place() (*runDir, string, error) {
	ks.mu.Lock()
	defer ks.mu.Unlock()
	if ks.dir == nil {
		_ = ks.RemoveLeft() // or it is another user's
		parent, prefix := ks.config.runDirs()
		dir, err := newRunDir(parent, prefix, ks.config.Child.User)
		if err != nil {
			return nil, "", err
		}
		ks.dir = dir
	}
	ks.count++
	return ks.dir, strconv.Itoa(ks.count), nil
}
