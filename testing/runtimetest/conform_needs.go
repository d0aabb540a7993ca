package runtimetest

import (
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// What a case can need besides the programs that it names.
const (
	needShell    = "bash"
	needRoot     = "root"      // inside
	needUser     = "openhands" // programs run as that user, and the server as root
	needIPython  = "ipykernel"
	needBrowser  = "chromium"
	needViewer   = "viewer"
	needNetwork  = "network"
	needNewStart = "restart" // of the server, by whoever opened it
)

// shownBy say what is asserted where a need is missing; of programs, that the shell says so.
var shownBy = map[string]string{
	needShell:    "commands run in sh, or the answer says that bash is missing",
	needRoot:     "chown is not permitted",
	needUser:     "programs run as the server's own user",
	needIPython:  "a cell is answered, with what to install",
	needBrowser:  "an error observation",
	needViewer:   "there is no such page",
	needNetwork:  "pip fails",
	needNewStart: "its opener restarts nothing",
}

// Refusal says what the case asserts where something that it needs is missing.
func (r Row) Refusal() string {
	var list []string
	for _, n := range r.Needs {
		text := shownBy[n]
		if text == "" {
			text = n + ": command not found"
		}
		list = append(list, text)
	}
	return strings.Join(list, "; ")
}

// hasShell says whether there is a bash to run commands with.
func (s *site) hasShell() bool {
	o := s.do(sandbox.Action{Args: sandbox.RunArgs{Command: "echo $BASH_VERSION", Blocking: true}, Timeout: clientTimeout})
	r, ok := o.Result.(sandbox.RunResult)
	return ok && r.Metadata.ExitCode == 0 && strings.TrimSpace(o.Content) != ""
}

// has says whether the sandbox has what a case needs.
func (s *site) has(need string) bool {
	s.Helper()
	probe := ""
	switch need {
	case needShell:
		return s.shell
	case needNewStart:
		return s.Restart != nil
	case needViewer:
		return s.Viewer
	case needRoot:
		probe = `[ "$(id -u)" = 0 ]`
	case needUser:
		probe = `[ "$(id -un)" = openhands ]`
	case needIPython:
		probe = "python3 -c 'import ipykernel' || /usr/bin/python3 -c 'import ipykernel'"
	case needBrowser:
		probe = "command -v chromium || command -v chromium-browser || command -v google-chrome"
	case needNetwork:
		probe = "python3 -m pip --version && python3 -m pip index versions pymsgbox"
	default:
		probe = "command -v " + need
	}
	if !s.shell {
		return false
	}
	r := s.perform(sandbox.RunArgs{Command: "( " + probe + " ) >/dev/null 2>&1", Blocking: true}, clientTimeout)
	return r.meta.ExitCode == 0
}

// without asserts how it shows that the sandbox lacks something.
func (s *site) without(missing string) {
	s.Helper()
	switch missing {
	case needRoot:
		s.cmd("chown 0:0 . && chown 1:1 .").fails()
	case needUser:
		if !s.has(needRoot) {
			s.cmd("id -u").exits(0)
			s.cmd("id -un 2>/dev/null").hasNot("root", "openhands")
			return
		}
		s.cmd("id -un").exits(0).is("root")
	case needIPython:
		o := s.do(sandbox.Action{Args: sandbox.IPythonArgs{Code: "print(1)", IncludeExtra: true}, Timeout: clientTimeout})
		s.wantContains("what is said of a cell", s.kind(o, sandbox.KindIPython).Content, "ipykernel")
	case needBrowser:
		o := s.do(sandbox.Action{Args: sandbox.BrowseArgs{URL: "http://localhost:1"}, Timeout: clientTimeout})
		s.wantContains("what is said of a page", s.kind(o, sandbox.KindError).Content, "Browser functionality is not supported or disabled.")
	case needViewer:
		s.get("/view?path=/etc/passwd").has(404)
	case needNetwork:
		s.cmd("python3 -m pip install pymsgbox==1.0.9").fails()
	case needNewStart:
		s.cmd("echo who opened this sandbox cannot restart its server").exits(0)
	default:
		s.cmd(missing).exits(127).has(missing, "not found")
	}
}

// withoutShell asserts what a sandbox without a bash answers: the same from a sh if there is one, else why there is no
// shell; and that everything that needs none goes on.
func (s *site) withoutShell() {
	s.Helper()
	r := s.perform(sandbox.RunArgs{Command: "echo $((6*7)); (exit 3)", Blocking: true}, clientTimeout)
	switch {
	case r.kind == sandbox.KindRun && r.meta.ExitCode == 3:
		r.is("42").suffix("[The command completed with exit code 3.]")
		s.cmd("no-such-program").exits(127).has("not found")
	case r.kind == sandbox.KindError || r.meta.ExitCode != 0:
		r.has("bash")
	default:
		r.fail("want the exit code of the command, or what is missing")
	}
	if err := s.rt.Ping(s.context()); err != nil {
		s.Errorf("the server of a sandbox without a shell: %v", err)
	}
}
