package runtimetest

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// mustRows are what a server must do because a test of OpenHands or its client breaks otherwise.
var mustRows = []Row{
	{Name: "1 flags", About: "the launcher's directory and variables are the shell's", Needs: []string{"bash"}, want: Want{Env: map[string]string{"FROM_LAUNCHER": "a b"}}, run: func(s *site) {
		s.cmd(`pwd; echo "$FROM_LAUNCHER"`).exits(0).is(s.dir + "\na b")
	}},
	{Name: "2 alive", About: "2xx when the server is ready, and so is everything", run: func(s *site) {
		s.ask("", "GET", "/alive", "").is(200, `{"status":"ok"}`)
	}},
	{Name: "3 errors and keys", About: "detail bodies; 403 for the wrong key; two paths without key", run: errorsAndKeys},
	{Name: "4 observations", About: "observation, content and extras as the client decodes them; golden answers", run: observations},
	{Name: "5 metadata", About: "of commands that ended, and of those that have not", Needs: []string{"bash"}, run: func(s *site) {
		m := s.cmd("(exit 3)").exits(3).meta
		if m.PID != -1 || m.Username == nil || m.Hostname == nil || m.WorkingDir == nil || m.PyPath == nil || *m.WorkingDir != s.dir || m.Prefix != "" {
			s.Errorf("of a command that ended: %+v", m)
		}
		m = s.within(0.5, "sleep 5").exits(-1).meta
		if m.PID != -1 || m.Username != nil || m.Hostname != nil || m.WorkingDir != nil || m.PyPath != nil {
			s.Errorf("of one that has not: %+v", m)
		}
	}},
	{Name: "6 literals", About: "all texts of the shell; T as Python prints a float, S an integer", Needs: []string{"bash"}, want: Want{Soft: time.Second}, run: literals},
	{Name: "7 states", About: "refusals bring new output; a prefix after the first timeout and not at the end", Needs: []string{"bash"}, run: func(s *site) {
		s.within(1, "echo one; sleep 2; echo two; sleep 4; echo three").exits(-1).is("one").prefix("")
		time.Sleep(3 * time.Second)
		s.cmd("true").exits(-1).is("two").prefix(below).suffix("is NOT executed")
		s.within(0.1, "").exits(-1).is("").prefix(below)
		s.within(10, "").exits(0).is("three").prefix("")
		s.cmd("").is("ERROR: No previous running command to retrieve logs from.").exits(-1)
		s.input("x").is("ERROR: No previous running command to interact with.").exits(-1)
	}},
	{Name: "8 several commands", About: "which texts are several commands, and how they are told apart", Needs: []string{"bash"}, run: severalCommands},
	{Name: "9 timeout accuracy", About: "2.5 s and just under 3.0 s, five times", Needs: []string{"bash"}, run: func(s *site) {
		for i := range 5 {
			command := ""
			if i == 0 {
				command = "sleep 1000"
			}
			// A machine that has more to do than it can may wake everybody late, but not each time.
			for tries := 1; ; tries++ {
				r := s.within(2.5, command).exits(-1)
				if r.took >= 2500*time.Millisecond && r.took < 3*time.Second {
					break
				}
				if command = ""; r.took < 2500*time.Millisecond || tries == 5 {
					r.fail("it took %v", r.took)
					break
				}
			}
		}
		s.interrupt()
	}},
	{Name: "10 C-c", About: "SIGINT to the foreground by the terminal", Needs: []string{"bash"}, run: func(s *site) {
		s.within(1, `bash -c 'trap "echo caught; exit 0" INT; echo ready; while :; do sleep 0.1; done'`).exits(-1).is("ready")
		s.inputWithin(20, "C-c").exits(0).has("caught").suffix("[The command completed with exit code 0. CTRL+C was sent.]")
	}},
	{Name: "11 job control", About: "the notices of jobs are in the content", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("sleep 0.1 & echo b").exits(0).has("[1] ", "b")
		r := s.cmd("true").exits(0)
		for until := time.Now().Add(time.Minute); r.text == "" && time.Now().Before(until); r = s.cmd("true").exits(0) {
			time.Sleep(100 * time.Millisecond)
		}
		r.has("[1]+  Done", "sleep 0.1")
		s.within(1, "sleep 30").exits(-1)
		s.inputWithin(20, "C-z").exits(148).has("Stopped").suffix("CTRL+Z was sent.")
	}},
	{Name: "12 windows", About: "ten thousand lines, thirty thousand characters", Needs: []string{"bash", "seq"}, run: func(s *site) {
		s.within(30, "seq 1 5000").exits(0).prefix("")
		r := s.within(30, "seq 1 50000").exits(0).has("\n[... Observation truncated due to length ...]\n", "\n50000")
		n := 0
		if _, err := fmt.Sscanf(r.meta.Prefix, "[Previous command outputs are truncated. Showing the last %d lines of the output below.]\n", &n); err != nil || n < 10000 || n > 11400 {
			r.fail("want a prefix with ten thousand lines or some more")
		}
		if got := len([]rune(r.text)); got != 30000+len("\n[... Observation truncated due to length ...]\n") {
			r.fail("it has %d characters", got)
		}
	}},
	{Name: "13 no artefacts", About: "no prompt, no echo, no escape sequences: what a terminal shows", Needs: []string{"bash"}, run: func(s *site) {
		for command, want := range map[string]string{
			`printf '\033[31mred\033[0m\n'`:                 "red",
			`printf 'a\tb\n'`:                               "a       b",
			`printf '10%%\r20%%\n'`:                         "20%",
			`printf 'abc\b\b\bxyz\n'`:                       "xyz",
			`printf 'blanks   \nnext\n'`:                    "blanks\nnext",
			`printf '   a\n  b\n\n\n'`:                      "a\n  b",
			`printf '%01500d\n' 7`:                          strings.Repeat("0", 1499) + "7",
			`printf "printf hi"`:                            "printf hi",
			"echo x;":                                       "x",
			"if true; then\n  echo y\nfi":                   "y",
			`PS2='> '; echo "a` + "\n" + `b"`:               "a\nb",
			`printf '\033[?1049hALT\033[?1049l'; echo back`: "back",
		} {
			s.cmd(command).exits(0).is(want)
		}
	}},
	{Name: "14 environment", About: "env prints the same from one command to the next", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("true")
		before := s.cmd("env | sort").exits(0).text
		s.cmd("env | sort").exits(0).is(before)
	}},
	{Name: "15 write and read", About: "a line end for each piece, parents, slices; relative to the shell's directory", run: writeAndRead},
	{Name: "16 editor texts", About: "all messages, snippets, diffs", run: editorTexts},
	{Name: "17 archives and lists", About: "order of a list, zips up and down", run: archivesAndLists},
	{Name: "18 run_ipython", About: "always an observation; the lines in brackets", Needs: []string{"bash", needIPython}, want: withPython, run: func(s *site) {
		s.cell("import os\nos.environ[\"K\"] = \"v\"\n").is("[Code executed successfully with no output]")
		s.cell("print(os.environ['K'])").is("v")
		s.cell("1/0").has("ZeroDivisionError: division by zero").hasNot("\x1b")
		s.cmd("mkdir -p sub && cd sub").exits(0)
		s.dir += "/sub"
		s.cell("print(os.getcwd())").is(s.dir)
		o := s.do(sandbox.Action{Args: sandbox.IPythonArgs{Code: "print('bare')"}, Timeout: clientTimeout})
		s.want("a cell without extras", o.Content, "bare")
		o = s.do(sandbox.Action{Args: sandbox.IPythonArgs{Code: "import time; time.sleep(60)", IncludeExtra: true}, Timeout: 2 * time.Second})
		s.wantContains("a cell that takes too long", o.Content, "[Execution timed out (2.0 seconds).]")
		s.cell("print('alive')").is("alive")
	}},
	{Name: "19 browser", About: "the directories of downloads and screenshots", Needs: browserNeeds, want: withBrowser, run: func(s *site) {
		s.browse("http://localhost:" + s.serve())
		s.cmd("ls -A").exits(0).has(".browser_screenshots", ".downloads")
	}},
	{Name: "19 file viewer", About: "its address stands in a file; what it shows and what it refuses", alone: true, Needs: []string{"bash", "curl", needViewer}, run: func(s *site) {
		s.copyTo("i.png", s.dir, tinyPNG)
		base := s.viewer()
		s.cmd("curl -s " + base + "/").exits(0).is(`{"status":"File viewer server is running"}`)
		s.cmd("curl -s '"+base+"/view?path="+s.in("i.png")+"'").exits(0).has("File Viewer - i.png", "data:image/png;base64,")
		for target, want := range map[string]string{"relative.png": "400", s.in("none.png"): "404", s.dir: "400", "/etc/passwd": "500"} {
			s.cmd("curl -s -o /dev/null -w '%{http_code}' '" + base + "/view?path=" + target + "'").exits(0).is(want)
		}
	}},
	{Name: "20 an empty workspace", About: "nothing visible is made at the start", run: func(s *site) {
		names, err := s.rt.List(s.context(), s.in("."))
		if err != nil || len(names) > 0 {
			s.Errorf("there is %q, %v", names, err)
		}
	}},
	{Name: "21 users and bashrc", About: "~/.bashrc is read; git has no pager; sudo asks for nothing", Needs: []string{"bash", "git", needNewStart}, want: Want{User: true}, run: func(s *site) {
		s.cmd(`echo "export PERSISTED=yes" >> ~/.bashrc; echo 'export BROKEN="abc' >> ~/.bashrc`).exits(0)
		s.Restart()
		s.cmd("echo $PERSISTED").exits(0).is("yes")
		s.cmd("git init -q . && for i in $(seq 200); do echo $i >> f; done && git add f && git diff --cached").exits(0).has("+200")
		if s.has(needUser) && s.has("sudo") {
			s.cmd("sudo id -u").exits(0).is("0")
		}
	}},
	{Name: "22 keep-alive", About: "an idle connection stays open well above five seconds", run: func(s *site) {
		conn, err := s.Dial(s.context())
		if err != nil {
			s.Fatal(err)
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for i := range 2 {
			if i > 0 {
				time.Sleep(7 * time.Second)
			}
			fmt.Fprint(conn, "GET /alive HTTP/1.1\r\nHost: sandbox\r\n\r\n")
			r, err := http.ReadResponse(in, nil)
			if err != nil || r.StatusCode != 200 {
				s.Fatalf("request %d: %v, %v", i+1, r, err)
			}
			if _, err := in.Discard(int(r.ContentLength)); err != nil {
				s.Fatal(err)
			}
		}
	}},
}

func literals(s *site) {
	shown := control("^C", s.cmd(whichKernel).text)
	for timeout, want := range map[string]string{"1": "1.0", "0.5": "0.5", "1.25": "1.25", "-1": "-1.0", "1e0": "1.0"} {
		a := s.event(`{"action":"run","args":{"command":"sleep 20","blocking":true},"timeout":` + timeout + `}`)
		var o struct {
			Extras struct{ Metadata struct{ Suffix string } }
		}
		a.json(&o)
		s.want("the suffix for "+timeout, o.Extras.Metadata.Suffix, "\n[The command timed out after "+want+" seconds. "+hint)
		s.interrupt().exits(130)
	}
	r := s.cmd("sleep 20").exits(-1)
	s.want("the suffix", r.meta.Suffix, "\n"+s.silent()+hint)
	r = s.cmd("ls  -l").exits(-1).prefix(below)
	s.want("the suffix", r.meta.Suffix, "\n[Your command \"ls  -l\" is NOT executed. The previous command is still running - You CANNOT send new commands until the previous command is completed. "+
		"By setting `is_input` to `true`, you can interact with the current process: "+hint)
	r = s.inputWithin(20, "C-c").exits(130).is(shown).prefix("")
	s.want("the suffix", r.meta.Suffix, "\n[The command completed with exit code 130. CTRL+C was sent.]")
	s.want("the command", r.result.Command, "C-c")
	r = s.cmd("(exit 7)").exits(7)
	s.want("the suffix", r.meta.Suffix, "\n[The command completed with exit code 7.]")
	s.want("the command", s.cmd("  echo stripped  ").exits(0).result.Command, "echo stripped")
}

func severalCommands(s *site) {
	for command, pieces := range map[string][]string{
		"echo a\necho b":                        {"echo a", "echo b"},
		"echo a\n\n\necho b":                    {"echo a", "echo b"},
		"true && echo a\necho b":                {"true && echo a", "echo b"},
		"x=1\ny=2":                              {"x=1", "y=2"},
		"cat <<EOF\nx\nEOF\necho b":             {"cat <<EOF\nx\nEOF", "echo b"},
		"if true; then echo a; fi\necho b":      {"if true; then echo a; fi", "echo b"},
		"for i in 1 2; do\necho $i\ndone\necho": {"for i in 1 2; do\necho $i\ndone", "echo"},
		"! true\ntrue":                          {"! true", "true"},
	} {
		var list strings.Builder
		for i, p := range pieces {
			fmt.Fprintf(&list, "\n(%d) %s", i+1, p)
		}
		s.cmd(command).error("").is("ERROR: Cannot execute multiple commands at once.\nPlease run each command separately OR chain them into a single command via && or ;\nProvided commands:" + list.String())
	}
	for command, want := range map[string]string{
		"echo a; echo b":                          "a\nb",
		"echo a &&\necho b":                       "a\nb",
		"false ||\necho b":                        "b",
		"echo a |\ncat":                           "a",
		"echo \\\na":                              "a",
		"echo a # comment\n# comment":             "a",
		"cat <<EOF\nx\ny\nEOF":                    "x\ny",
		"(echo a\necho b)":                        "a\nb",
		"{ echo a\necho b; }":                     "a\nb",
		"if true; then\necho a\nelse\necho b\nfi": "a",
		"echo 'a\nb'":                             "a\nb",
	} {
		s.cmd(command).exits(0).is(want)
	}
}
