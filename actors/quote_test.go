package actors

import (
	"os/exec"
	"testing"
	"unicode/utf8"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

// TestExportsAreByteExact asks a real shell.
func TestExportsAreByteExact(t *testing.T) {
	bash := need.Tool(t, "bash")
	for _, v := range []string{"", "plain", "it's", `"double"`, "$HOME `id` $(id) \\ \\n", "two\nlines\n", "tab\there", "!history", "é\xff", "\xff'\\\n\x01f", "'''", "a=b;c&d|e>f<g*?[h]~"} {
		if !utf8.ValidString(quote(v)) {
			t.Errorf("the word for %q is no UTF-8", v)
		}
		out, err := exec.Command(bash, "-c", exports(map[string]string{"VALUE": v, "OTHER": "x"})+`; printf %s "$VALUE"`).Output()
		if err != nil || string(out) != v {
			t.Errorf("%q came out as %q, %v", v, out, err)
		}
	}
}

func TestPasswordLeavesTheURL(t *testing.T) {
	for in, want := range map[string]sandbox.Setup{
		"https://u:p@h/r.git":  {Repository: "https://h/r.git", GitToken: "p"},
		"https://tok@h:8/r":    {Repository: "https://h:8/r", GitToken: "tok"},
		"https://h/r.git":      {Repository: "https://h/r.git"},
		"git@github.com:o/r":   {Repository: "git@github.com:o/r"},
		"ssh://git@h/r":        {Repository: "ssh://git@h/r"},
		"/srv/repositories/it": {Repository: "/srv/repositories/it"},
	} {
		if got := withoutPassword(sandbox.Setup{Repository: in}); got.Repository != want.Repository || got.GitToken != want.GitToken {
			t.Errorf("%s: %+v", in, got)
		}
	}
}

func TestGitVars(t *testing.T) {
	got := gitVars(map[string]string{"GIT_CONFIG_COUNT": "3"}, sandbox.Setup{Repository: "https://gitlab.example/o/r", GitToken: "t", GitUser: "me"})
	for k, want := range map[string]string{
		"GIT_CONFIG_COUNT": "6", "GIT_CONFIG_KEY_3": "user.name", "GIT_CONFIG_VALUE_3": "me",
		"GIT_CONFIG_KEY_4": "credential.https://gitlab.example.helper", "GIT_CONFIG_VALUE_4": "", tokenVar: "t",
	} {
		if got[k] != want {
			t.Errorf("%s is %q, want %q", k, got[k], want)
		}
	}
	if gitVars(nil, sandbox.Setup{Repository: "/srv/r", GitToken: "t"}) != nil {
		t.Error("a token for a path")
	}
}
