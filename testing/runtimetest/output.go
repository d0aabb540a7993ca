package runtimetest

import (
	"fmt"
	"strings"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
)

// output is about what a command prints while it runs.
var output = []test{
	{"comes whole and in order", func(r *rig) {
		o, out := r.watch(sandbox.Action{Args: sandbox.RunArgs{Command: "for i in 1 2 3 4 5; do echo line $i; sleep 0.02; done", Blocking: true}})
		r.want("the content", o.Content, "line 1\nline 2\nline 3\nline 4\nline 5")
		r.wantContains("the output", strings.ReplaceAll(out, "\r", ""), o.Content)
	}},
	{"comes while the command runs", func(r *rig) {
		// The command goes on only after its output has been seen.
		var once sync.Once
		var wg sync.WaitGroup
		a := sandbox.Action{Args: sandbox.RunArgs{Command: "echo waiting; while [ ! -e seen ]; do sleep 0.02; done; echo done", Blocking: true}, Timeout: patience / 2}
		o, _, err := r.try(r.context(), a, func(out string) {
			if strings.Contains(out, "waiting") {
				once.Do(func() {
					wg.Go(func() {
						if err := r.rt.Put(r.context(), "seen", strings.NewReader("")); err != nil {
							r.Error(err)
						}
					})
				})
			}
		})
		wg.Wait()
		if err != nil {
			r.Fatal(err)
		}
		r.want("the content", o.Content, "waiting\ndone")
	}},
	{"of a million lines", func(r *rig) {
		var total int64
		var tail string
		o, err := r.rt.Do(r.context(), sandbox.Action{Args: sandbox.RunArgs{Command: "seq 1 1000000", Blocking: true}, Timeout: patience}, func(offset int64, p []byte) {
			if offset < total {
				r.Errorf("output at byte %d, but %d bytes came before", offset, total)
			}
			total = offset + int64(len(p)) // what a slow reader misses is a gap
			if tail += string(p); len(tail) > 100 {
				tail = tail[len(tail)-100:]
			}
		})
		if err != nil {
			r.Fatal(err)
		}
		if res, ok := o.Result.(sandbox.RunResult); !ok || res.Metadata.ExitCode != 0 {
			r.Errorf("%+v", o.Result)
		} else {
			r.wantContains("the prefix", res.Metadata.Prefix, "[Previous command outputs are truncated. Showing the last ")
		}
		if !strings.HasSuffix(o.Content, "\n999999\n1000000") || len(o.Content) > 31000 {
			r.Errorf("%d characters, which end in %.50q", len(o.Content), o.Content[max(0, len(o.Content)-50):])
		}
		r.wantContains("the end of the output", tail, "1000000\r\n")
		if total < 6_888_896 { // digits and line ends of the numbers
			r.Errorf("%d bytes of output", total)
		}
	}},
	{"of five thousand lines is not cut by the window", func(r *rig) {
		_, res := r.run(sandbox.RunArgs{Command: "seq 1 5000", Blocking: true}, patience)
		r.want("the prefix", res.Metadata.Prefix, "")
		content, res := r.run(sandbox.RunArgs{Command: "for i in $(seq 1 50000); do echo Line $i; done", Blocking: true}, patience)
		r.wantContains("the prefix", res.Metadata.Prefix, "[Previous command outputs are truncated. Showing the last ")
		r.wantContains("the content", content, "Line 40000\n")
		r.wantContains("the content", content, "Line 50000")
	}},
	{"of one line without an end", func(r *rig) {
		content, res := r.run(sandbox.RunArgs{Command: "head -c 3000000 /dev/zero | tr '\\0' z", Blocking: true}, patience)
		if res.Metadata.ExitCode != 0 || !strings.HasSuffix(content, "zzz") {
			r.Errorf("exit code %d, %d characters", res.Metadata.ExitCode, len(content))
		}
	}},
	{"belongs to its own action", func(r *rig) {
		for i := range 20 {
			word := fmt.Sprintf("word-%d", i)
			o, out := r.watch(sandbox.Action{Args: sandbox.RunArgs{Command: "echo " + word}})
			r.want("the content", o.Content, word)
			if strings.Count(out, "word-") > 2 { // the echo of what was typed may be seen
				r.Errorf("the output of %s is %q", word, out)
			}
		}
	}},
}
