package runtimetest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// bashRows are the tests of OpenHands' tests/runtime/test_bash.py, by their names.
var bashRows = []Row{
	{Name: "test_bash_server", About: "a server in the foreground: hard timeout, C-c with exit code 0, started again on its port", Needs: []string{"bash", "python3"}, run: bashServer},
	{Name: "test_bash_background_server", About: "a server in the background answers; pkill ends it", Needs: []string{"bash", "python3", "curl", "pkill"}, run: func(s *site) {
		port := freePort(s)
		s.cmd("python3 -m http.server " + port + " &").exits(0)
		s.cmd(fmt.Sprintf("for i in $(seq 100); do curl -sS http://localhost:%s && break; sleep 0.1; done", port)).exits(0).has("Directory listing for")
		s.cmd(`pkill -f "http.server ` + port + `"`).exits(0)
	}},
	{Name: "test_multiline_commands", About: "continuation lines and line ends in quotes", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("echo \\\n -e \"foo\"").exits(0).has("foo")
		s.cmd("echo -e \"hello\nworld\"").exits(0).has("hello\nworld")
		s.cmd(`echo -e "a\n\n\nz"`).exits(0).has("\n\n\n")
	}},
	{Name: "test_complex_commands", About: "a loop with arithmetic in one line", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd(`count=0; tries=0; while [ $count -lt 3 ]; do result=$((tries >= 0 ? 1 : 0)); tries=$((tries+1)); if [ $result -eq 1 ]; then count=$((count+1)); else count=0; fi; done; echo "Got 3 heads in a row after $tries flips!"`).
			exits(0).has("Got 3 heads in a row after 3 flips!")
	}},
	{Name: "test_no_ps2_in_output", About: "no continuation prompt in the content", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("echo -e \"hello\nworld\"").exits(0).has("hello\nworld").hasNot(">")
	}},
	{Name: "test_multiline_command_loop", About: "nested loops over several lines", Needs: []string{"bash", "sed"}, run: func(s *site) {
		s.cmd("mkdir -p _modules && \\\nfor month in {01..04}; do\n    for day in {01..05}; do\n        touch \"_modules/2024-${month}-${day}-sample.md\"\n    done\ndone && echo \"created files\"").
			exits(0).has("created files")
		s.cmd("for file in _modules/*.md; do\n    new_date=$(echo $file | sed -E 's/2024-(01|02|03|04)-/2024-/;s/2024-01/2024-08/;s/2024-02/2024-09/;s/2024-03/2024-10/;s/2024-04/2024-11/')\n    mv \"$file\" \"$new_date\"\ndone && echo \"success\"").
			exits(0).has("success")
	}},
	{Name: "test_multiple_multiline_commands", About: "several commands at once are refused; each alone runs", Needs: []string{"bash"}, run: manyLines},
	{Name: "test_cmd_run", About: "ls, mkdir, touch, rm; who owns what", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("ls -l " + s.dir).exits(0)
		s.cmd("ls -l").exits(0).has("total 0")
		s.cmd("mkdir test").exits(0)
		s.cmd("ls -l").exits(0).has("test")
		s.cmd("[ -O test ]").exits(0)
		s.cmd("touch test/foo.txt").exits(0)
		s.cmd("ls -l test").exits(0).has("foo.txt")
		s.cmd("rm -rf test").exits(0)
	}},
	{Name: "test_run_as_user_correct_home_dir", About: "the home directory is the user's", Needs: []string{"bash", needUser}, want: Want{User: true}, run: func(s *site) {
		s.cmd("cd ~ && pwd").exits(0).is("/home/openhands")
	}},
	{Name: "test_multi_cmd_run_in_single_line", About: "commands joined by &&", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("pwd && ls -l").exits(0).has(s.dir, "total 0")
	}},
	{Name: "test_stateful_cmd", About: "the working directory stays", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("mkdir -p test").exits(0)
		s.cmd("cd test").exits(0)
		s.cmd("pwd").exits(0).has(s.dir + "/test")
	}},
	{Name: "test_failed_cmd", About: "an unknown command fails", Needs: []string{"bash"}, run: func(s *site) { s.cmd("non_existing_command").fails() }},
	{Name: "test_copy_single_file", About: "a file that is uploaded is there", Needs: []string{"bash"}, run: func(s *site) {
		s.copyTo("test_file.txt", s.dir, "Hello, World!")
		s.cmd("ls -alh " + s.dir).exits(0).has("test_file.txt")
		s.cmd("cat " + s.dir + "/test_file.txt").exits(0).has("Hello, World!")
	}},
	{Name: "test_copy_directory_recursively", About: "a directory that is uploaded keeps its own name", Needs: []string{"bash"}, run: func(s *site) {
		s.copyTree(s.dir, map[string]string{"test_dir/file1.txt": "File 1 content", "test_dir/file2.txt": "File 2 content"})
		s.cmd("ls -alh "+s.dir).exits(0).has("test_dir").hasNot("file1.txt", "file2.txt")
		s.cmd("ls -alh "+s.dir+"/test_dir").exits(0).has("file1.txt", "file2.txt")
		s.cmd("cat " + s.dir + "/test_dir/file1.txt").exits(0).has("File 1 content")
	}},
	{Name: "test_copy_to_non_existent_directory", About: "an upload makes its destination", Needs: []string{"bash"}, run: func(s *site) {
		s.copyTo("test_file.txt", s.dir+"/new_dir", "Hello, World!")
		s.cmd("cat " + s.dir + "/new_dir/test_file.txt").exits(0).has("Hello, World!")
	}},
	{Name: "test_overwrite_existing_file", About: "an upload replaces a file", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("touch " + s.dir + "/test_file.txt").exits(0)
		s.cmd("cat " + s.dir + "/test_file.txt").exits(0).is("")
		s.copyTo("test_file.txt", s.dir, "Hello, World!")
		s.cmd("cat " + s.dir + "/test_file.txt").exits(0).has("Hello, World!")
	}},
	{Name: "test_copy_non_existent_file", About: "what is not uploaded does not appear", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("ls " + s.dir + "/should_not_exist").fails().has("No such file or directory")
	}},
	{Name: "test_copy_from_directory", About: "a directory is downloaded whole", Needs: []string{"bash"}, run: func(s *site) {
		s.copyTree(s.dir, map[string]string{"test_dir/file1.txt": "one", "test_dir/sub/file2.txt": "two"})
		got := s.copyFrom(s.dir + "/test_dir")
		if len(got) != 2 || got["file1.txt"] != "one" || got["sub/file2.txt"] != "two" {
			s.Errorf("downloaded %q", got)
		}
	}},
	{Name: "test_git_operation", About: "git without pager; owners as the user, sudo without password", Needs: []string{"bash", "git"}, want: Want{User: true}, run: gitOperation},
	{Name: "test_python_version", About: "there is a Python 3", Needs: []string{"bash", "python3"}, run: func(s *site) {
		s.cmd("python3 --version").exits(0).has("Python 3")
	}},
	{Name: "test_pwd_property", About: "cd and pwd in one line", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("mkdir -p random_dir").exits(0)
		s.cmd("cd random_dir && pwd").exits(0).has("random_dir")
	}},
	{Name: "test_basic_command", About: "output, an unknown command, quotes, &&", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("echo 'hello world'").exits(0).has("hello world")
		s.cmd("nonexistent_command").exits(127).has("nonexistent_command: command not found")
		s.cmd("echo 'hello   world\nfoo   bar'").exits(0).has("hello   world\nfoo   bar")
		s.cmd("echo 'first' && echo 'second'").exits(0).has("first", "second")
	}},
	{Name: "test_interactive_command", About: "a prompt, the soft timeout, an input, a heredoc", Needs: []string{"bash"}, want: Want{Soft: time.Second}, run: func(s *site) {
		s.cmd(`read -p "Enter name: " name && echo "Hello $name"`).has("Enter name:").suffix(s.silent())
		s.input("John").has("Hello John").suffix("[The command completed with exit code 0.]")
		s.cmd("cat << EOF\nline 1\nline 2\nEOF").has("line 1\nline 2").suffix("[The command completed with exit code 0.]")
	}},
	{Name: "test_long_output", About: "5,000 lines come within ten seconds", Needs: []string{"bash"}, run: func(s *site) {
		s.within(10, "for i in $(seq 1 5000); do echo \"Line $i\"; done").exits(0).has("Line 1", "Line 5000").prefix("")
	}},
	{Name: "test_long_output_exceed_history_limit", About: "of 50,000 lines the last ten thousand, and it is said", Needs: []string{"bash"}, run: func(s *site) {
		r := s.within(30, "for i in $(seq 1 50000); do echo \"Line $i\"; done").exits(0).has("Line 40000", "Line 50000")
		s.wantContains("the prefix", r.meta.Prefix, "Previous command outputs are truncated")
	}},
	{Name: "test_long_output_from_nested_directories", About: "ls -R of 100 by 100 files", Needs: []string{"bash"}, run: func(s *site) {
		s.within(60, `mkdir -p test_dir && cd test_dir && for i in $(seq 1 100); do mkdir -p "folder_$i"; for j in $(seq 1 100); do echo "Line $j" > "folder_$i/file_$j.txt"; done; done`).exits(0)
		s.within(60, "ls -R "+s.dir+"/test_dir").exits(0).has("folder_1", "file_1.txt", "folder_100", "file_100.txt")
	}},
	{Name: "test_command_backslash", About: `find … -exec … {} \;`, Needs: []string{"bash", "find"}, run: func(s *site) {
		s.cmd(`mkdir -p tmp/test_dir && echo "implemented_function" > tmp/test_dir/test_file.txt`).exits(0)
		s.cmd(`find tmp/test_dir -type f -exec grep -l "implemented_function" {} \;`).exits(0).is("tmp/test_dir/test_file.txt")
	}},
	{Name: "test_stress_long_output_with_soft_and_hard_timeout", About: "rounds of prompts, long lines, both timeouts, refusals and C-c", Needs: []string{"bash", "ps"}, want: Want{Soft: time.Second}, run: stressTimeouts},
	{Name: "test_command_output_continuation", About: "polls bring exactly what is new, five times 2.5 s against ticks of 3 s", Needs: []string{"bash"}, run: func(s *site) {
		s.within(2.5, "for i in {1..5}; do echo $i; sleep 3; done").is("1").prefix("").suffix("[The command timed out after 2.5 seconds.")
		for n := 2; n <= 5; n++ {
			s.within(2.5, "").is(strconv.Itoa(n)).prefix(below).suffix("[The command timed out after 2.5 seconds.")
		}
		s.within(10, "").exits(0).is("").prefix("").suffix("[The command completed with exit code 0.]")
	}},
	{Name: "test_long_running_command_follow_by_execute", About: "another command is refused while one runs", Needs: []string{"bash"}, run: func(s *site) {
		s.within(2.5, "for i in {1..3}; do echo $i; sleep 3; done").exits(-1).has("1").prefix("").suffix("[The command timed out after 2.5 seconds.")
		s.within(2.5, "").exits(-1).has("2").prefix(below).suffix("[The command timed out after 2.5 seconds.")
		s.cmd("sleep 15").exits(-1).hasNot("3").prefix(below).suffix("The previous command is still running")
		s.within(10, "").exits(0).has("3").suffix("[The command completed with exit code 0.]")
	}},
	{Name: "test_empty_command_errors", About: "nothing to poll", Needs: []string{"bash"}, run: func(s *site) {
		r := s.cmd("").is("ERROR: No previous running command to retrieve logs from.").exits(-1).prefix("")
		s.want("the suffix", r.meta.Suffix, "")
	}},
	{Name: "test_python_interactive_input", About: "a program that asks twice", Needs: []string{"bash", "python3"}, want: Want{Soft: 2 * time.Second}, run: func(s *site) {
		s.cmd(askTwice).exits(-1).has("Enter your name:").suffix(s.silent())
		s.input("Alice").exits(-1).has("Enter your age:").suffix(s.silent())
		s.input("25").exits(0).has("Hello Alice, you are 25 years old").suffix("[The command completed with exit code 0.]")
	}},
	{Name: "test_python_interactive_input_without_set_input", About: "text that is no input is refused", Needs: []string{"bash", "python3"}, want: Want{Soft: 2 * time.Second}, run: func(s *site) {
		s.cmd(askTwice).exits(-1).has("Enter your name:").suffix(s.silent())
		s.cmd("Alice").exits(-1).hasNot("Enter your age:").suffix(`Your command "Alice" is NOT executed. The previous command is still running`)
		s.input("Alice").exits(-1).has("Enter your age:").suffix(s.silent())
		s.input("25").exits(0).has("Hello Alice, you are 25 years old")
	}},
	{Name: "test_bash_remove_prefix", About: "the command is not in the content", Needs: []string{"bash", "git"}, run: func(s *site) {
		s.cmd("git init -q . && git remote add origin https://github.com/OpenHands/OpenHands").exits(0)
		s.cmd("git remote -v").exits(0).has("https://github.com/OpenHands/OpenHands").hasNot("git remote -v")
	}},
}

const askTwice = `python3 -c "name = input('Enter your name: '); age = input('Enter your age: '); print(f'Hello {name}, you are {age} years old')"`

// silent begins what is said of a command that has printed nothing for the soft timeout.
func (s *site) silent() string {
	return fmt.Sprintf("[The command has no new output after %d seconds. ", int(s.Soft/time.Second))
}

// freePort is one that nobody listens at, and that Linux gives to nobody who asks for any. The sandbox may be on another machine:
// then it is only likely to be free.
func freePort(s *site) string {
	for range 100 {
		port := strconv.Itoa(12_000 + rand.IntN(18_000))
		if l, err := net.Listen("tcp", "0.0.0.0:"+port); err == nil {
			l.Close()
			return port
		}
	}
	s.Fatal("there is no free port")
	return ""
}

func bashServer(s *site) {
	port := freePort(s)
	for range 2 {
		r := s.within(3, "python3 -u -m http.server "+port).exits(-1).suffix("[The command timed out after 3.0 seconds. " + hint)
		for range 20 {
			if strings.Contains(r.text, "Serving HTTP on") {
				break
			}
			r = s.within(3, "")
		}
		r.has("Serving HTTP on")
		r = s.inputWithin(30, "C-c").exits(0).has("Keyboard interrupt received, exiting.").suffix("CTRL+C was sent.")
		if r.meta.WorkingDir == nil || *r.meta.WorkingDir != s.dir {
			r.fail("want the working directory %s", s.dir)
		}
		s.within(3, "ls").exits(0).hasNot("Keyboard interrupt received, exiting.")
	}
}

func manyLines(s *site) {
	commands := []string{
		"ls -l",
		"echo -e \"hello\nworld\"",
		"echo -e \"hello it's me\"",
		"echo \\\n    -e 'hello' \\\n    world",
		"echo -e 'hello\\nworld\\nare\\nyou\\nthere?'",
		"echo -e 'hello\nworld\nare\nyou\n\nthere?'",
		"echo -e 'hello\nworld \"'",
	}
	s.cmd(strings.Join(commands, "\n")).error("Cannot execute multiple commands at once")
	for i, want := range []string{"total 0", "hello\nworld", "hello it's me", "hello world", "hello\nworld\nare\nyou\nthere?", "hello\nworld\nare\nyou\n\nthere?", `hello` + "\n" + `world "`} {
		s.cmd(commands[i]).exits(0).has(want)
	}
}

func gitOperation(s *site) {
	if s.has(needUser) && s.has("sudo") {
		s.cmd("sudo chown -R openhands:root .").exits(0)
		for line := range strings.Lines(s.cmd("ls -alh .").exits(0).text) {
			switch line = strings.TrimSpace(line); {
			case strings.HasSuffix(line, " .") && !(strings.Contains(line, "openhands") && strings.Contains(line, "root")):
				s.Errorf("the workspace belongs to others: %s", line)
			}
		}
	}
	s.cmd(`git config --global user.name "openhands" && git config --global user.email "openhands@all-hands.dev"`).exits(0)
	s.cmd("git init").exits(0)
	s.cmd(`echo "hello" > test_file.txt`).exits(0)
	s.cmd("git add test_file.txt").exits(0)
	s.cmd("git diff --cached").exits(0).has("b/test_file.txt", "+hello")
	s.cmd(`git commit -m "test commit"`).exits(0)
	s.cmd("git log").exits(0).has("test commit")
}

// stressRounds is how often: ten in the original, whose races it looks for. Three show ours, if there are any.
const stressRounds = 3

func stressTimeouts(s *site) {
	for i := range stressRounds {
		s.cmd(`ps aux | grep "/usr/bin/tmux" | grep -v grep | awk '{print $2}'`).exits(0)
		s.cmd(fmt.Sprintf(`read -p "Do you want to continue? [Y/n] " answer; if [[ $answer == "Y" ]]; then echo "Proceeding with operation %d"; echo "Operation %d done"; fi`, i, i)).
			exits(-1).has("Do you want to continue? [Y/n]").suffix(s.silent())
		s.input("Y").exits(0).has(fmt.Sprintf("Proceeding with operation %d", i), fmt.Sprintf("Operation %d done", i))
		s.perform(sandbox.RunArgs{Command: fmt.Sprintf(`for j in $(seq 1 1000); do echo "Line $j - Iteration %d - $(printf 'x%%.0s' {1..1000})"; sleep 0.2; done`, i), Blocking: true}, 2*time.Second).
			exits(-1).has(fmt.Sprintf("Line 1 - Iteration %d", i)).suffix("[The command timed out after 2.0 seconds.")
		s.cmd("ls").exits(-1).suffix("The previous command is still running")
		s.interrupt().exits(130).suffix("CTRL+C was sent.")
		s.cmd("ls").exits(0)
	}
}
