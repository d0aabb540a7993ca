package runtimetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// otherRows are the tests of the other files in OpenHands' tests/runtime, by their names.
var otherRows = slices.Concat([]Row{
	{Name: "test_browser_disabled", About: "a page without a browser is an error observation", run: func(s *site) {
		for _, a := range []sandbox.Args{sandbox.BrowseArgs{URL: "http://localhost:1"}, sandbox.BrowseInteractiveArgs{BrowserActions: `goto("http://localhost:1")`}} {
			o, _, err := s.try(s.context(), sandbox.Action{Args: a, Timeout: clientTimeout}, nil)
			if err != nil { // the native form has a code for it
				s.wantCode("a page", err, sandbox.Unsupported)
				s.wantContains("the error", err.Error(), "Browser functionality is not supported or disabled.")
				continue
			}
			if s.Browser && o.Kind() == sandbox.KindBrowse { // it cannot be disabled here, and says that there is no such page
				s.wantContains("the content", o.Content, "net::ERR_")
				continue
			}
			s.want("the content", s.kind(o, sandbox.KindError).Content, "Browser functionality is not supported or disabled.")
		}
	}},
	{Name: "test_docker_images python", About: "the image's python", Needs: []string{"bash", "python3"}, run: func(s *site) { s.cmd("python3 --version").exits(0).has("Python 3") }},
	{Name: "test_docker_images node", About: "the image's node", Needs: []string{"bash", "node"}, run: func(s *site) { s.cmd("node --version").exits(0).has("v") }},
	{Name: "test_docker_images go", About: "the image's go", Needs: []string{"bash", "go"}, run: func(s *site) { s.cmd("go version").exits(0).has("go1") }},
	{Name: "test_env_vars_os_environ", About: "a variable of the server is one of the shell", Needs: []string{"bash"}, want: Want{Env: map[string]string{"FOOBAR": "BAZ"}}, run: func(s *site) {
		s.cmd("echo $FOOBAR").exits(0).is("BAZ")
	}},
	{Name: "test_env_vars_runtime_operations", About: "added variables, with quotes, overwritten; env is the same from one command to the next", Needs: []string{"bash"}, run: func(s *site) {
		s.addEnv("QUUX", `abc"def`)
		s.cmd("echo $QUUX").exits(0).is(`abc"def`)
		s.addEnv("FOOBAR", "xyz")
		s.cmd("echo $QUUX $FOOBAR").exits(0).is(`abc"def xyz`)
		before := s.cmd("env").exits(0).text
		s.cmd("env").exits(0).is(before)
		s.addEnv("FOOBAR", "new_value")
		s.cmd("echo $FOOBAR").exits(0).is("new_value")
	}},
	{Name: "test_env_vars_added_by_config", About: "variables of the start", Needs: []string{"bash"}, want: Want{Env: map[string]string{"ADDED_ENV_VAR": "added value"}}, run: func(s *site) {
		s.cmd("echo $ADDED_ENV_VAR").exits(0).is("added value")
	}},
	{Name: "test_docker_runtime_env_vars_persist_after_restart", About: "variables in ~/.bashrc survive the server", Needs: []string{"bash", "grep", needNewStart}, run: func(s *site) {
		s.addEnv("GITHUB_TOKEN", "test_token")
		s.cmd(`grep "^export GITHUB_TOKEN=" ~/.bashrc`).exits(0).has("export GITHUB_TOKEN=")
		s.Restart()
		s.cmd("echo $GITHUB_TOKEN").exits(0).is("test_token")
		s.cmd("cat ~/.bashrc").exits(0)
	}},
	{Name: "test_grep quotes", About: "patterns with quotes", Needs: []string{"bash", "rg"}, run: func(s *site) {
		s.cmd("    mkdir -p src && printf '%s\\n' 'name = \"quoted\"' \"it's\" > src/a.py").exits(0)
		s.cmd(`rg -li "\"quoted\"" --sortr=modified src 2>/dev/null | head -n 100`).exits(0).is("src/a.py")
		s.cmd(`rg -li "it's" --sortr=modified src | head -n 100`).exits(0).is("src/a.py")
	}},
	{Name: "test_grep special_chars", About: "patterns with dollars, backticks and exclamation marks", Needs: []string{"bash", "rg"}, run: func(s *site) {
		s.cmd(`    mkdir -p src && echo "price: \$100 and \` + "`" + `tick\` + "`" + ` and bang\!" > src/a.txt`).exits(0)
		s.cmd(`rg -li "\\\$100" src`).exits(0).is("src/a.txt")
		s.cmd(`rg -li "\` + "`" + `tick" src`).exits(0).is("src/a.txt")
	}},
	{Name: "test_grep paths_with_spaces", About: "paths with blanks", Needs: []string{"bash", "rg"}, run: func(s *site) {
		s.cmd("mkdir -p \"dir with spaces\" && \\\necho 'needle' > \"dir with spaces/file one.txt\"").exits(0)
		s.cmd(`rg -li "needle" "dir with spaces"`).exits(0).is("dir with spaces/file one.txt")
	}},
	{Name: "test_glob special_patterns", About: "file patterns with braces", Needs: []string{"bash", "rg"}, run: func(s *site) {
		s.cmd("mkdir -p src && touch src/a.js src/b.ts src/c.py 'src/d[1].js'").exits(0)
		s.cmd(`rg --files src -g "*.{js,ts}" | sort`).exits(0).is("src/a.js\nsrc/b.ts\nsrc/d[1].js")
	}},
	{Name: "test_glob paths_with_spaces", About: "file patterns below paths with blanks", Needs: []string{"bash", "rg"}, run: func(s *site) {
		s.cmd(`mkdir -p "my docs" && touch "my docs/read me.md"`).exits(0)
		s.cmd(`rg --files "my docs" -g "*.md"`).exits(0).is("my docs/read me.md")
	}},
	{Name: "test_microagent", About: "a missing file, a list, a directory's download", run: func(s *site) {
		s.kind(s.read(s.in(".openhands_instructions")), sandbox.KindError)
		s.write(s.in(".openhands/microagents/one.md"), "one")
		s.write(s.in(".openhands/microagents/sub/two.md"), "two")
		names, err := s.rt.List(s.context(), s.in(".openhands/microagents"))
		if err != nil || !slices.Equal(names, []string{"sub/", "one.md"}) {
			s.Errorf("list: %q, %v", names, err)
		}
		if got := s.copyFrom(s.in(".openhands/microagents")); len(got) != 2 || got["one.md"] != "one\n" || got["sub/two.md"] != "two\n" {
			s.Errorf("downloaded %q", got)
		}
	}},
	{Name: "test_replay", About: "the actions of recorded trajectories", Needs: []string{"bash", "python3"}, want: Want{Soft: time.Second}, run: func(s *site) {
		game := s.in("game_2048.py")
		s.edit("create", game, arg("file_text", "import random\n\nBOARD = 4\n")).has("File created successfully")
		s.cmd("mkdir -p templates static").exits(0)
		s.edit("str_replace", game, arg("old_str", "BOARD = 4"), arg("new_str", "BOARD = 5")).has("has been edited")
		s.edit("insert", game, line("1"), arg("new_str", "import sys")).has("has been edited")
		r := s.cmd("python3 -m http.server " + freePort(s)).exits(-1).suffix(s.silent())
		for range 60 { // until it can be interrupted in peace
			if strings.Contains(r.text, "Serving HTTP on") {
				break
			}
			r = s.cmd("")
		}
		s.input("C-c").exits(0)
		o := s.file(sandbox.ReadArgs{Path: s.dir, End: -1, Impl: "oh_aci"})
		s.wantContains("what is read of the workspace", s.kind(o, sandbox.KindRead).Content, game)
		s.cmd("mv nothing somewhere").fails()
	}},
	{Name: "test_initialize_repository_for_runtime", About: "a clone by the shell, or its failure", Needs: []string{"bash", "git"}, run: func(s *site) {
		s.cmd("git init -q origin && git -C origin -c user.name=a -c user.email=a@b commit -q --allow-empty -m one").exits(0)
		s.cmd("git clone " + s.in("origin") + " OpenHands ; cd OpenHands ; git checkout -b openhands-workspace-1").exits(0)
		s.cmd("pwd").exits(0).is(s.in("OpenHands"))
	}},
	{Name: "test_maybe_run_setup_script", About: "write makes the directory; the script is sourced, hidden and blocking", Needs: []string{"bash"}, run: func(s *site) { setupScript(s, "") }},
	{Name: "test_maybe_run_setup_script_with_long_timeout", About: "blocking disables the soft timeout", Needs: []string{"bash"}, want: Want{Soft: time.Second}, run: func(s *site) { setupScript(s, fmt.Sprintf("sleep %d && ", 3*int(s.Soft/time.Second))) }},
}, ipythonRows, browserRows)

func setupScript(s *site, pause string) {
	s.write(".openhands/setup.sh", "#!/bin/bash\n"+pause+"echo 'Hello World' >> README.md\nexport FROM_SETUP=yes\n")
	r := s.perform(sandbox.RunArgs{Command: "chmod +x .openhands/setup.sh && source .openhands/setup.sh", Blocking: true, Hidden: true}, 10*time.Minute)
	r.exits(0)
	s.reads("README.md", "Hello World\n")
	s.cmd("echo $FROM_SETUP").exits(0).is("yes")
}

// addEnv adds a variable the way that OpenHands' client does: to the shell, and to ~/.bashrc for shells to come.
func (s *site) addEnv(name, value string) {
	s.Helper()
	quoted := jsonString(value)
	s.cmd("export " + name + "=" + quoted + ";").exits(0)
	s.cmd(fmt.Sprintf(`touch ~/.bashrc; grep -q "^export %[1]s=" ~/.bashrc || echo "export %[1]s=%[2]s" >> ~/.bashrc;`, name, quoted)).exits(0)
}

func jsonString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
