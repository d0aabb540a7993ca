package runtimetest

import (
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

const (
	below = "[Below is the output of the previous command.]\n"
	hint  = "You may wait longer to see additional output by sending empty command '', send other commands to interact with the current process, send keys (\"C-c\", \"C-z\", \"C-d\") to interrupt/kill the previous command before sending your new command, or use the timeout parameter in execute_bash for future commands.]"
)

// busy is about commands that take longer than somebody waits for them.
var busy = []test{
	{"nothing to ask about", func(r *rig) {
		content, res := r.run(sandbox.RunArgs{Command: ""}, 0)
		r.want("a poll", content, "ERROR: No previous running command to retrieve logs from.")
		if res.Metadata.ExitCode != -1 {
			r.Errorf("exit code %d", res.Metadata.ExitCode)
		}
		content, _ = r.run(sandbox.RunArgs{Command: "yes", IsInput: true}, 0)
		r.want("an input", content, "ERROR: No previous running command to interact with.")
	}},
	{"hard timeout, poll, refusal, C-c", func(r *rig) {
		shown := control("^C", r.sh(whichKernel))
		content, res := r.run(sandbox.RunArgs{Command: "echo first; sleep 100; echo never"}, brief)
		r.want("the content", content, "first")
		r.want("the suffix", res.Metadata.Suffix, "\n[The command timed out after 0.7 seconds. "+hint)
		r.want("the prefix", res.Metadata.Prefix, "")
		if res.Metadata.ExitCode != -1 || res.Metadata.WorkingDir != nil {
			r.Errorf("%+v", res.Metadata)
		}
		content, res = r.run(sandbox.RunArgs{Command: ""}, brief)
		r.want("the content of the poll", content, "")
		r.want("its prefix", res.Metadata.Prefix, below)
		r.want("its command", res.Command, "")

		content, res = r.run(sandbox.RunArgs{Command: "touch refused"}, 0)
		r.want("the content of the refusal", content, "")
		r.wantContains("its suffix", res.Metadata.Suffix, `[Your command "touch refused" is NOT executed. The previous command is still running`)
		if res.Metadata.ExitCode != -1 {
			r.Errorf("exit code %d", res.Metadata.ExitCode)
		}
		content, res = r.run(sandbox.RunArgs{Command: "C-c", IsInput: true}, patience)
		r.wantContains("the content after C-c", content, shown)
		r.want("its suffix", res.Metadata.Suffix, "\n[The command completed with exit code 130. CTRL+C was sent.]")
		if res.Metadata.ExitCode != 130 {
			r.Errorf("exit code %d", res.Metadata.ExitCode)
		}
		r.prints("ls refused 2>/dev/null; echo free", "free", 0)
	}},
	{"the rest comes with the poll", func(r *rig) {
		content, res := r.run(sandbox.RunArgs{Command: "echo early; while [ ! -e release ]; do sleep 0.02; done; echo late; (exit 5)"}, brief)
		r.want("the content", content, "early")
		if res.Metadata.ExitCode != -1 {
			r.Errorf("exit code %d", res.Metadata.ExitCode)
		}
		if err := r.rt.Put(r.context(), "release", strings.NewReader("")); err != nil {
			r.Fatal(err)
		}
		content, res = r.run(sandbox.RunArgs{Command: "", Blocking: true}, patience)
		r.want("the content of the poll", content, "late")
		if res.Metadata.ExitCode != 5 {
			r.Errorf("exit code %d", res.Metadata.ExitCode)
		}
		r.wantContains("its suffix", res.Metadata.Suffix, "completed with exit code 5.")
	}},
	{"input for a program that asks", func(r *rig) {
		content, res := r.run(sandbox.RunArgs{Command: `read -p 'Enter name: ' name; echo "Hello $name"`}, brief)
		r.want("the content", content, "Enter name:")
		if res.Metadata.ExitCode != -1 {
			r.Errorf("exit code %d", res.Metadata.ExitCode)
		}
		content, res = r.run(sandbox.RunArgs{Command: "John", IsInput: true}, patience)
		r.want("the content", content, "Hello John")
		if res.Metadata.ExitCode != 0 {
			r.Errorf("exit code %d", res.Metadata.ExitCode)
		}
	}},
	{"the end of input", func(r *rig) {
		r.run(sandbox.RunArgs{Command: "cat"}, brief)
		content, _ := r.run(sandbox.RunArgs{Command: "typed", IsInput: true}, brief)
		r.wantContains("what cat says", content, "typed")
		_, res := r.run(sandbox.RunArgs{Command: "C-d", IsInput: true}, patience)
		r.want("the suffix", res.Metadata.Suffix, "\n[The command completed with exit code 0. CTRL+D was sent.]")
	}},
	{"a limit that has passed already", func(r *rig) {
		_, res := r.run(sandbox.RunArgs{Command: "while [ ! -e released ]; do sleep 0.02; done"}, -time.Second)
		r.wantContains("the suffix", res.Metadata.Suffix, "timed out after -1.0 seconds.")
		if err := r.rt.Put(r.context(), "released", strings.NewReader("")); err != nil {
			r.Fatal(err)
		}
		_, res = r.run(sandbox.RunArgs{Command: "", Blocking: true}, patience)
		if res.Metadata.ExitCode != 0 {
			r.Errorf("exit code %d", res.Metadata.ExitCode)
		}
	}},
	{"a command that closes its output", func(r *rig) {
		r.prints("(exec >&- 2>&-; sleep 0.2; exit 3)", "", 3)
		r.prints("echo fine", "fine", 0)
	}},
}

// Soft tests the soft timeout, of runtimes whose server has noChange for it, which should be a second or two.
func Soft(t *testing.T, open func(t *testing.T) sandbox.Runtime, noChange time.Duration) {
	group(t, open, "soft timeout", []test{
		{"silence is reported, noise is not", func(r *rig) {
			began := time.Now()
			content, res := r.run(sandbox.RunArgs{Command: "echo first; sleep 100"}, 0)
			r.want("the content", content, "first")
			r.wantContains("the suffix", res.Metadata.Suffix, "\n[The command has no new output after ")
			r.wantContains("the suffix", res.Metadata.Suffix, " seconds. "+hint)
			if took := time.Since(began); took < noChange || res.Metadata.ExitCode != -1 {
				r.Errorf("after %v, exit code %d", took, res.Metadata.ExitCode)
			}
			_, res = r.run(sandbox.RunArgs{Command: "C-c", IsInput: true}, 0)
			if res.Metadata.ExitCode != 130 {
				r.Errorf("exit code %d", res.Metadata.ExitCode)
			}
			r.prints("for i in 1 2 3; do echo $i; sleep 0.5; done", "1\n2\n3", 0)
		}},
		{"a blocking command may be silent", func(r *rig) {
			content, res := r.run(sandbox.RunArgs{Command: "sleep " + (noChange + noChange/2).String() + "; echo done", Blocking: true}, patience)
			r.want("the content", content, "done")
			if res.Metadata.ExitCode != 0 {
				r.Errorf("exit code %d", res.Metadata.ExitCode)
			}
		}},
	})
}

// deaths is about shells that end, and what a command can do to the one it runs in.
var deaths = []test{
	{"exit gives an answer and a fresh shell", func(r *rig) {
		home := r.sh("mkdir -p kept && cd kept && pwd")
		r.sh("variable=lost")
		_, res := r.run(sandbox.RunArgs{Command: "exit 3", Blocking: true}, patience)
		if res.Metadata.ExitCode != 3 {
			r.Errorf("exit code %d", res.Metadata.ExitCode)
		}
		r.prints(`pwd; echo "[$variable]"`, home+"\n[]", 0)
		r.sh("cd ..")
	}},
	{"C-d at the prompt", func(r *rig) {
		r.do(sandbox.Action{Args: sandbox.RunArgs{Command: "C-d"}, Timeout: patience})
		r.prints("echo alive", "alive", 0)
	}},
	{"a shell that is killed", func(r *rig) {
		o := r.do(sandbox.Action{Args: sandbox.RunArgs{Command: "kill -9 $$", Blocking: true}, Timeout: patience})
		if res, ok := o.Result.(sandbox.RunResult); ok && res.Metadata.ExitCode == 0 {
			r.Error("it counts as success")
		}
		r.prints("echo alive", "alive", 0)
	}},
	{"a shell that becomes another program", func(r *rig) {
		o := r.do(sandbox.Action{Args: sandbox.RunArgs{Command: "exec sh -c 'echo other; exit 4'", Blocking: true}, Timeout: patience})
		r.want("the content", o.Content, "other")
		r.prints("echo alive", "alive", 0)
	}},
	{"a shell without its output", func(r *rig) {
		r.do(sandbox.Action{Args: sandbox.RunArgs{Command: "exec >&- 2>&-", Blocking: true}, Timeout: patience})
		r.do(sandbox.Action{Args: sandbox.RunArgs{Command: "echo unheard", Blocking: true}, Timeout: patience})
		r.do(sandbox.Action{Args: sandbox.RunArgs{Command: "exec >/dev/tty 2>/dev/tty", Blocking: true}, Timeout: patience})
		r.prints("echo heard", "heard", 0)
	}},
	{"a shell whose other descriptors are closed", func(r *rig) {
		r.do(sandbox.Action{Args: sandbox.RunArgs{Command: "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-", Blocking: true}, Timeout: patience})
		r.prints("echo fine", "fine", 0)
	}},
	{"traps, options and prompts of the user's own", func(r *rig) {
		r.sh(`set -e -u -o pipefail; PS1='mine> '; PROMPT_COMMAND='true'; IFS=:; trap 'true' DEBUG`)
		r.prints(`echo "a:b"`, "a:b", 0)
		r.do(sandbox.Action{Args: sandbox.RunArgs{Command: "false", Blocking: true}, Timeout: patience}) // under set -e the shell may go
		r.prints("echo alive", "alive", 0)
		r.do(sandbox.Action{Args: sandbox.RunArgs{Command: "exit 0", Blocking: true}, Timeout: patience}) // and takes all that with it
		r.prints("echo fresh", "fresh", 0)
	}},
}
