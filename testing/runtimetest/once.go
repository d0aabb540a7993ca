package runtimetest

import (
	"context"
	"reflect"
	"strings"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
)

// once is about actions that are asked for more than once.
var once = []test{
	{"the same id runs once", func(r *rig) {
		a := sandbox.Action{ID: sandbox.NewActionID(), Args: sandbox.RunArgs{Command: "echo x >> effects; echo $RANDOM"}}
		first := r.do(a)
		for range 3 {
			if again := r.do(a); !reflect.DeepEqual(first, again) {
				r.Errorf("%+v\nis answered again by %+v", first, again)
			}
		}
		r.prints("wc -l < effects", "1", 0)
	}},
	{"without an id it runs each time", func(r *rig) {
		a := sandbox.Action{Args: sandbox.RunArgs{Command: "echo x >> each"}}
		r.do(a)
		r.do(a)
		r.prints("wc -l < each", "2", 0)
	}},
	{"another body is a conflict", func(r *rig) {
		a := sandbox.Action{ID: "same-id", Args: sandbox.RunArgs{Command: "echo one"}}
		r.do(a)
		a.Args = sandbox.RunArgs{Command: "echo two > two"}
		_, _, err := r.try(r.context(), a, nil)
		r.wantCode("the second", err, sandbox.Conflict)
		r.prints("ls two 2>/dev/null", "", 2)
	}},
	{"other kinds run once too", func(r *rig) {
		r.put("lines", "")
		a := sandbox.Action{ID: sandbox.NewActionID(), Args: sandbox.WriteArgs{Path: "lines", Content: "x", Start: 0, End: 0}}
		r.do(a)
		r.do(a)
		r.prints("grep -c x lines", "1", 0)
	}},
	{"all who ask while it runs get its answer", func(r *rig) {
		a := sandbox.Action{ID: sandbox.NewActionID(), Args: sandbox.RunArgs{Command: "echo x >> joined; while [ ! -e go ]; do sleep 0.02; done; echo $RANDOM", Blocking: true}}
		answers := make([]sandbox.Observation, 4)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				o, _, err := r.try(r.context(), a, nil)
				if answers[i] = o; err != nil {
					r.Error(err)
				}
			})
		}
		r.put("go", "")
		wg.Wait()
		for _, o := range answers {
			if !reflect.DeepEqual(o, answers[0]) || o.Content == "" {
				r.Errorf("%+v\nand %+v", answers[0], o)
			}
		}
		r.prints("wc -l < joined", "1", 0)
	}},
	{"who stops waiting stops nothing", func(r *rig) {
		a := sandbox.Action{ID: sandbox.NewActionID(), Args: sandbox.RunArgs{Command: "echo begun; while [ ! -e goes-on ]; do sleep 0.02; done; echo x >> after; echo done", Blocking: true}}
		ctx, cancel := context.WithCancel(r.context())
		defer cancel()
		_, _, err := r.try(ctx, a, func(out string) {
			if strings.Contains(out, "begun") {
				cancel()
			}
		})
		r.wantCode("who stopped waiting", err, sandbox.Canceled)
		r.put("goes-on", "")
		o := r.do(a)
		r.want("the content", o.Content, "begun\ndone")
		r.prints("wc -l < after", "1", 0)
	}},
	{"a context that is over starts nothing", func(r *rig) {
		ctx, cancel := context.WithCancel(r.context())
		cancel()
		_, _, err := r.try(ctx, sandbox.Action{ID: sandbox.NewActionID(), Args: sandbox.RunArgs{Command: "echo x >> never"}}, nil)
		r.wantCode("it", err, sandbox.Canceled)
		r.prints("ls never 2>/dev/null", "", 2)
	}},
}

// refusals is about what is no action, or none for this runtime.
var refusals = []test{
	{"no action at all", func(r *rig) {
		_, _, err := r.try(r.context(), sandbox.Action{}, nil)
		r.wantCode("it", err, sandbox.Invalid)
	}},
	{"an unknown kind", func(r *rig) {
		_, _, err := r.try(r.context(), sandbox.Action{Args: sandbox.OtherArgs{Type: "frobnicate"}}, nil)
		r.wantCode("it", err, sandbox.Invalid)
	}},
	{"a kind that no sandbox performs", func(r *rig) {
		_, _, err := r.try(r.context(), sandbox.Action{Args: sandbox.OtherArgs{Type: "think", Raw: []byte(`{"thought":"hm"}`)}}, nil)
		r.wantCode("it", err, sandbox.Invalid, sandbox.Unsupported)
	}},
	{"a bad id", func(r *rig) {
		for _, id := range []string{"../x", "a b", strings.Repeat("x", 65), "-x", "x\n"} {
			_, _, err := r.try(r.context(), sandbox.Action{ID: id, Args: sandbox.RunArgs{Command: "touch bad"}}, nil)
			r.wantCode(id, err, sandbox.Invalid)
		}
		r.prints("ls bad 2>/dev/null", "", 2)
	}},
	{"what only some can do is done or refused", func(r *rig) {
		for want, args := range map[sandbox.Kind]sandbox.Args{
			sandbox.KindIPython:   sandbox.IPythonArgs{Code: "print(1 + 1)"},
			sandbox.KindBrowse:    sandbox.BrowseArgs{URL: "about:blank"},
			sandbox.KindMCPResult: sandbox.MCPArgs{Name: "no_such_tool", Arguments: []byte("{}")},
		} {
			o, _, err := r.try(r.context(), sandbox.Action{Args: args, Timeout: patience}, nil)
			switch {
			case err != nil:
				r.wantCode(string(args.Kind()), err, sandbox.Unsupported, sandbox.Invalid, sandbox.NotFound)
			case o.Kind() != want && o.Kind() != sandbox.KindError:
				r.Errorf("%s: a %s observation", args.Kind(), o.Kind())
			}
		}
	}},
	{"and it is alive", func(r *rig) {
		if err := r.rt.Ping(r.context()); err != nil {
			r.Error(err)
		}
		r.prints("echo alive", "alive", 0)
	}},
}
