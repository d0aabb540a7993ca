package runtimetest

import (
	"fmt"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

const done = "\n[The command completed with exit code 0.]"

// sessionRows are the tests of OpenHands' tests/unit/runtime/utils/test_bash_session.py, by their names. They call a Python
// class; what they say of it is seen on the wire too.
var sessionRows = []Row{
	{Name: "test_session_initialization", About: "a session begins in the workspace", Needs: []string{"bash"}, run: func(s *site) {
		r := s.cmd("pwd").exits(0).is(s.dir)
		s.want("the suffix", r.meta.Suffix, done)
	}},
	{Name: "test_cwd_property", About: "working_dir follows cd", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("mkdir -p a/b").exits(0)
		r := s.cmd("cd a/b").exits(0)
		if r.meta.WorkingDir == nil || *r.meta.WorkingDir != s.dir+"/a/b" {
			r.fail("want the working directory to follow")
		}
	}},
	{Name: "test_basic_command", About: "exact suffixes, empty prefixes", Needs: []string{"bash"}, run: func(s *site) {
		r := s.cmd("echo 'hello world'").exits(0).is("hello world").prefix("")
		s.want("the suffix", r.meta.Suffix, done)
		r = s.cmd("nonexistent_command").exits(127).has("nonexistent_command: command not found").prefix("")
		s.want("the suffix", r.meta.Suffix, "\n[The command completed with exit code 127.]")
		s.cmd(`echo "multi-line" && echo "output"`).exits(0).is("multi-line\noutput")
	}},
	{Name: "test_long_running_command_follow_by_execute", About: "refusals bring what is new", Needs: []string{"bash"}, want: Want{Soft: 2 * time.Second}, run: func(s *site) {
		step := 2*s.Soft + s.Soft/2 // the silence between two ticks
		s.cmd(fmt.Sprintf("echo 1; sleep %g; echo 2; sleep %g; echo 3", step.Seconds(), step.Seconds())).exits(-1).is("1").suffix(s.silent()).prefix("")
		s.input("").exits(-1).suffix(s.silent()).prefix(below)
		s.input("").exits(-1).has("2").prefix(below)
		s.cmd("sleep 15").exits(-1).hasNot("3").suffix("The previous command is still running").prefix(below)
		time.Sleep(step) // the tick comes on a clock of its own
		s.cmd("sleep 15").kindIs(sandbox.KindRun).has("3")
		s.input("C-c")
	}},
	{Name: "test_interactive_command", About: "a prompt, and a heredoc that is typed", Needs: []string{"bash"}, want: Want{Soft: time.Second}, run: func(s *site) {
		s.cmd(`read -p 'Enter name: ' name && echo "Hello $name"`).exits(-1).has("Enter name:").suffix(s.silent()).prefix("")
		s.input("John").exits(0).has("Hello John").prefix("")
		s.cmd("cat").exits(-1).suffix(s.silent())
		s.input("line 1").exits(-1).has("line 1").suffix(s.silent()).prefix(below)
		s.input("line 2").exits(-1).has("line 2").prefix(below)
		s.input("C-d").exits(0).prefix("")
		s.cmd("cat << EOF").exits(-1).suffix(s.silent())
		s.input("line 1").exits(-1).suffix(s.silent())
		s.input("line 2").exits(-1).suffix(s.silent())
		s.input("EOF").exits(0).has("line 1", "line 2").prefix("")
	}},
	{Name: "test_ctrl_c", About: "C-c ends a loop", Needs: []string{"bash"}, want: Want{Soft: time.Second}, run: func(s *site) {
		s.within(1, "while true; do echo 'looping'; sleep 3; done").exits(-1).has("looping").prefix("")
		r := s.interrupt().suffix("CTRL+C was sent.").prefix("")
		if r.meta.ExitCode != 130 && r.meta.ExitCode != 1 {
			r.fail("want exit code 130 or 1")
		}
	}},
	{Name: "test_empty_command_errors", About: "a poll of nothing changes nothing", Needs: []string{"bash"}, run: func(s *site) {
		for range 2 {
			r := s.cmd("").exits(-1).is("ERROR: No previous running command to retrieve logs from.").prefix("")
			s.want("the suffix", r.meta.Suffix, "")
		}
		s.cmd("echo on").exits(0).is("on")
	}},
	{Name: "test_command_output_continuation", About: "polls collect all numbers, each once", Needs: []string{"bash"}, want: Want{Soft: time.Second}, run: func(s *site) {
		r := s.within(1, "for i in {1..5}; do echo $i; sleep 1.5; done")
		all := r.text
		for n := 0; r.meta.ExitCode == -1 && n < 30; n++ {
			r = s.inputWithin(1, "")
			all += "\n" + r.text
		}
		r.exits(0)
		s.want("what came", strings.Join(strings.Fields(all), " "), "1 2 3 4 5")
	}},
	{Name: "test_long_output", About: "5,000 lines, no prefix", Needs: []string{"bash"}, run: func(s *site) {
		r := s.cmd(`for i in {1..5000}; do echo "Line $i"; done`).exits(0).has("Line 1", "Line 5000").prefix("")
		s.want("the suffix", r.meta.Suffix, done)
	}},
	{Name: "test_long_output_exceed_history_limit", About: "50,000 lines: the prefix says what is missing", Needs: []string{"bash"}, run: func(s *site) {
		r := s.cmd(`for i in {1..50000}; do echo "Line $i"; done`).exits(0).has("Line 40000", "Line 50000")
		s.wantContains("the prefix", r.meta.Prefix, "Previous command outputs are truncated")
		s.want("the suffix", r.meta.Suffix, done)
	}},
	{Name: "test_multiline_command", About: "a compound command over several lines", Needs: []string{"bash"}, run: func(s *site) {
		r := s.cmd("if true; then\necho \"inside if\"\nfi").exits(0).is("inside if").prefix("")
		s.want("the suffix", r.meta.Suffix, done)
	}},
	{Name: "test_python_interactive_input", About: "a program that asks twice", Needs: []string{"bash", "python3"}, want: Want{Soft: 2 * time.Second}, run: func(s *site) {
		s.cmd(askTwice).exits(-1).has("Enter your name:").suffix(s.silent())
		s.input("Alice").exits(-1).has("Enter your age:").suffix(s.silent())
		s.input("25").exits(0).has("Hello Alice, you are 25 years old").prefix("")
	}},
}

// kindIs wants an observation of this kind.
func (r ran) kindIs(k sandbox.Kind) ran {
	r.s.Helper()
	if r.kind != k {
		r.fail("want a %s observation", k)
	}
	return r
}
