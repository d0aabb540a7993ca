package runtimetest

import (
	"bufio"
	"fmt"
	"net/http"
	"path"
	"slices"
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
		s.within(0.5, "echo one; sleep 1; echo two; sleep 1.5; echo three").exits(-1).is("one").prefix("")
		time.Sleep(time.Second)
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
				command = "sleep 30"
			}
			if r := s.within(2.5, command).exits(-1); r.took < 2500*time.Millisecond || r.took >= 3*time.Second {
				r.fail("it took %v", r.took)
			}
		}
	}},
	{Name: "10 C-c", About: "SIGINT to the foreground by the terminal", Needs: []string{"bash"}, run: func(s *site) {
		s.within(1, `bash -c 'trap "echo caught; exit 0" INT; echo ready; while :; do sleep 0.1; done'`).exits(-1).is("ready")
		s.inputWithin(20, "C-c").exits(0).has("caught").suffix("[The command completed with exit code 0. CTRL+C was sent.]")
	}},
	{Name: "11 job control", About: "the notices of jobs are in the content", Needs: []string{"bash"}, run: func(s *site) {
		s.cmd("sleep 0.1 & echo b").exits(0).has("[1] ", "b")
		time.Sleep(300 * time.Millisecond)
		s.cmd("true").exits(0).has("[1]+  Done", "sleep 0.1")
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

func errorsAndKeys(s *site) {
	s.ask("", "GET", "/server_info", "").has(200, `"uptime":`, `"idle_time":`, `"resources":`)
	if s.Key != "" {
		for _, key := range []string{"", "wrong"} {
			for _, target := range []string{"/list_files", "/nothing", "/docs", "/openapi.json", "/sse", "/alive/"} {
				s.ask(key, "GET", target, "").is(403, `{"detail":"Invalid API Key"}`)
			}
		}
	}
	s.get("/nothing").has(404, `"Not Found"`)
	s.get("/execute_action").is(405, `{"detail":"Method Not Allowed"}`)
	for _, body := range []string{`{}`, `{"action":1}`, `[]`, `{"action":`} {
		s.post("/execute_action", body).has(422, `{"detail":"Invalid request parameters","errors":"`)
	}
	for event, want := range map[string]string{
		`{"x":1}`:                      "Internal server error: Unknown event type: ",
		`{"action":"dance","args":{}}`: "Internal server error: ",
		`{"action":"run","args":{}}`:   "has the wrong arguments: ",
		`{"action":"run","args":{"command":"true","no_such":1}}`:                "has the wrong arguments: ",
		`{"observation":"run","content":"","extras":{"command":"x"}}`:           "Internal server error: 400: Invalid action type",
		`{"action":"think","args":{"thought":"x"}}`:                             "Internal server error: 'ActionExecutor' object has no attribute 'think'",
		`{"action":"run","args":{"command":"true"},"source":"nobody"}`:          "Internal server error: 'nobody' is not a valid EventSource",
		`{"action":"edit","args":{"path":"/x","impl_source":"llm_based_edit"}}`: "Internal server error: ",
	} {
		a := s.event(event).has(500, want)
		var d map[string]string
		if a.json(&d); len(d) != 1 || d["detail"] == "" {
			a.fail("want an object with detail and nothing else")
		}
	}
}

func observations(s *site) {
	p := s.in("t.txt")
	s.event(`{"action":"write","args":{"path":"hello.sh","content":"echo \"Hello, World!\""}}`).
		is(200, `{"message":"I wrote to the file `+s.in("hello.sh")+`.","observation":"write","content":"","extras":{"path":"`+s.in("hello.sh")+`"}}`)
	missing := "File not found: " + s.in("nope.txt") + ". Your current working directory is " + s.dir + "."
	s.event(`{"action":"read","args":{"path":"nope.txt"}}`).is(200, `{"message":"`+missing+`","observation":"error","content":"`+missing+`","extras":{"error_id":""}}`)
	s.write(p, "This is a test file.\nThis file is for testing purposes.")
	edit := func(command string) string {
		return `{"action":"edit","args":{"command":"` + command + `","path":"` + p + `","old_str":"test file","new_str":"sample file"}}`
	}
	s.event(edit("str_replace")).is(200, `{"message":"I edited the file `+p+`.","observation":"edit","content":"The file `+p+" has been edited. Here's the result of running `cat -n` on a snippet of "+p+
		`:\n     1\tThis is a sample file.\n     2\tThis file is for testing purposes.\n     3\t\nReview the changes and make sure they are as expected. Edit the file again if necessary.",`+
		`"extras":{"path":"`+p+`","prev_exist":false,"old_content":"test file","new_content":"sample file","impl_source":"oh_aci","diff":"--- `+p+`\n+++ `+p+`\n@@ -1 +1 @@\n-This is a test file.\n+This is a sample file.","_diff_cache":null}}`)
	if !s.shell {
		return
	}
	a := s.event(`{"action":"run","args":{"command":"echo hi"},"id":7,"timestamp":"2020-01-01T00:00:00","source":"agent","cause":3,"timeout":10}`)
	var run struct {
		Message, Observation, Content string
		Success                       bool
		Extras                        struct {
			Command  string
			Metadata map[string]any
			Hidden   bool
		}
		ID, Cause, Timestamp, Source any
	}
	a.json(&run)
	m := run.Extras.Metadata
	if run.Message != "Command `echo hi` executed with exit code 0." || run.Observation != "run" || run.Content != "hi" || !run.Success || run.Extras.Command != "echo hi" ||
		m["exit_code"] != 0.0 || m["pid"] != -1.0 || m["working_dir"] != s.dir || m["prefix"] != "" || m["suffix"] != done || run.ID != nil || run.Cause != nil || run.Timestamp != nil || run.Source != nil {
		a.fail("want the golden answer")
	}
	s.event(`{"action":"run","args":{"command":"echo a\necho b"}}`).has(200, `"observation":"error"`,
		`"content":"ERROR: Cannot execute multiple commands at once.\nPlease run each command separately OR chain them into a single command via && or ;\nProvided commands:\n(1) echo a\n(2) echo b"`)
	s.event(`{"action":"run","args":{"command":"echo a\necho b","hidden":true}}`).has(200, `"observation":"run"`, "Cannot execute multiple commands at once.")
}

func literals(s *site) {
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
	r = s.inputWithin(20, "C-c").exits(130).is("^C").prefix("")
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

func writeAndRead(s *site) {
	for content, want := range map[string]string{"a": "a\n", "a\n": "a\n\n", "": "\n", "a\nb": "a\nb\n"} {
		s.write(s.in("sub/dir/f.txt"), content)
		s.reads(s.in("sub/dir/f.txt"), want)
	}
	five := "l1\nl2\nl3\nl4\nl5"
	s.write("five", five)
	for at, want := range map[[2]int]string{
		{0, -1}: five + "\n", {2, -1}: "l3\nl4\nl5\n", {1, 3}: "l2\nl3\n", {0, 0}: "l1\n", {3, 1}: "l4\n", {1, 1}: "l2\n",
		{4, 5}: "l4\nl5\n", {5, 6}: "l4\nl5\n", {0, 100}: five + "\n", {9, 10}: "l4\nl5\n", {0, -5}: "l1\n", {9, -1}: "",
	} {
		o := s.file(sandbox.ReadArgs{Path: "five", Start: at[0], End: at[1]})
		s.want(fmt.Sprintf("lines %v", at), s.kind(o, sandbox.KindRead).Content, want)
	}
	s.file(sandbox.WriteArgs{Path: "five", Content: "new", Start: 1, End: 3})
	s.reads("five", "l1\nnew\nl4\nl5\n")
	s.wantContains("reading a directory", s.kind(s.read("sub"), sandbox.KindError).Content, "Path is a directory: "+s.in("sub")+". You can only read files")
	s.want("writing a directory", s.kind(s.file(sandbox.WriteArgs{Path: "sub", Content: "x", End: -1}), sandbox.KindError).Content, "Path is a directory: "+s.in("sub")+". You can only write to files")
	s.copyTo("bytes.dat", s.dir, "\x00\x01\xff\xfe\x00")
	s.want("a binary file", s.kind(s.read(s.in("bytes.dat")), sandbox.KindError).Content, "ERROR_BINARY_FILE")
	s.copyTo("i.png", s.dir, tinyPNG)
	s.wantContains("an image", s.kind(s.read("i.png"), sandbox.KindRead).Content, "data:image/png;base64,iVBORw0KGgo")
	if s.shell {
		s.cmd("cd sub/dir").exits(0)
		s.reads("f.txt", s.read(s.in("sub/dir/f.txt")).Content)
	}
}

func archivesAndLists(s *site) {
	for _, f := range []string{"Zdir/x", "adir/x", ".hid/x", "sp ace/x", "B.txt", "a.txt", ".dot", "C.md", ".gitignore"} {
		s.write(s.in("all/"+f), "x")
	}
	names, err := s.rt.List(s.context(), s.in("all"))
	if want := []string{".hid/", "adir/", "sp ace/", "Zdir/", ".dot", ".gitignore", "a.txt", "B.txt", "C.md"}; err != nil || !slices.Equal(names, want) {
		s.Errorf("list: %q, %v\nwant %q", names, err, want)
	}
	s.post("/list_files", `{"path":"`+s.in("nothing")+`"}`).is(200, "[]")
	s.post("/list_files", `{"path":"`+s.in("all/a.txt")+`"}`).is(200, "[]")
	s.post("/list_files", `{"path":"all/Zdir"}`).is(200, `["x"]`)
	s.post("/list_files", `{}`).is(200, `["all/"]`)
	c := s.web()
	zip := zipOf(map[string]string{"top/one.txt": "1", "top/two/three.txt": "3"})
	for _, recursive := range []bool{true, false} { // a single zip is unpacked too
		dir := s.in(fmt.Sprintf("unpacked-%v", recursive))
		if err := c.upload(s.context(), "t.zip", dir, recursive, zip); err != nil {
			s.Fatal(err)
		}
		got, err := c.download(s.context(), dir)
		if err != nil || len(got) != 2 || got["top/one.txt"] != "1" || got["top/two/three.txt"] != "3" {
			s.Errorf("after an upload, recursive %v: %q, %v", recursive, got, err)
		}
	}
	if err := c.upload(s.context(), "t.txt", s.in("x"), true, zip); err == nil || !strings.Contains(err.Error(), "Recursive uploads must be zip files") {
		s.Errorf("a recursive upload of no zip: %v", err)
	}
	if err := c.upload(s.context(), "t.txt", "relative", false, zip); err == nil || !strings.Contains(err.Error(), "Destination must be an absolute path") {
		s.Errorf("a relative destination: %v", err)
	}
	a := s.get("/download_files?path=" + path.Join(s.dir, "unpacked-true"))
	if a.header.Get("Content-Type") != "application/zip" || a.header.Get("Content-Disposition") != `attachment; filename="unpacked-true.zip"` {
		s.Errorf("the head of a download: %v", a.header)
	}
	if a := s.get("/download_files?path=" + s.in("all/a.txt")); a.status != 200 || len(a.body) != 22 {
		a.fail("want an empty archive of 22 bytes for a file")
	}
	for target, part := range map[string]string{"/download_files?path=" + s.in("nothing"): "File not found", "/download_files?path=relative": "Path must be an absolute path"} {
		var d struct{ Detail string }
		a := s.get(target)
		if a.json(&d); a.status < 400 || !strings.Contains(d.Detail, part) {
			a.fail("want %q", part)
		}
	}
	s.get("/download_files").has(422, "Invalid request parameters")
}
