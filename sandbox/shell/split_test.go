package shell

import (
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, parts := range [][]string{
		// Pieces that stand in lines of their own are told apart, however many lines each has.
		{"pwd", "ls -a"},
		{"echo 'one\ntwo'", "date"},
		{"printf \"%s\\n\" \"it's\"", "printf 'say \"x\"\n'", "true"},
		{"tar \\\n  -c \\\n  -f x.tar y", "rm y"},
		{"tee conf <<END\nkey: value\nlist:\n  - \"1\"\nEND", "cat conf"},
		{"tee conf <<-END\n\ta\n\tEND", "cat conf"},
		{"mkdir -p a && \\\nfor i in {1..3}; do\n  for j in x y; do\n    touch \"a/$i$j\"\n  done\ndone", "ls a"},
		{"if true; then\n  ls\nfi; echo after", "pwd"},
		{"f() {\n  ls\n}", "f"},
		{"(ls\npwd)", "{ ls\n}", "! ls", "ls"},
		{"a &", "b"},
		{"a;", "b"},
		{"a; b & c", "d"},
		{"x=1", "y=2"},
		{"a && b ||\nc", "d"},
		{"a |\nb", "c"},
		{"cat <<E; echo b\nx\nE", "ls"},
		{"echo one # first\n# second\n\n  # third", "ls # last"},
		{"# leading", "ls"},
		{"while read l; do echo \"$l\"; done < <(ls)", "ls"},
		{"echo `ls`", "echo $(ls\npwd)"},
		{"echo a\\;", "find . -exec ls {} \\;"},
	} {
		got, _ := inspect(strings.Join(parts, "\n"))
		if !slices.Equal(got, parts) {
			t.Errorf("%q\nis cut into %q", parts, got)
		}
		got, _ = inspect(strings.Join(parts, "\n\n \n"))
		if !slices.Equal(got, parts) {
			t.Errorf("%q, apart,\nis cut into %q", parts, got)
		}
	}
	for _, one := range []string{
		"ls", "ls; pwd", "ls &\n", "ls && pwd", "ls &&\npwd", "ls |\nwc", "ls \\\n-l", "ls # comment\n# more", "# only\n# comments", "\n\nls\n\n",
		"cat <<EOF\nx\nEOF", "cat <<EOF; echo b\nx\nEOF", "for i in 1 2\ndo\nls\ndone", "echo \"a\nb\"", "echo 'a\n\nb'", "a; \\\n b",
		// The original's parser does not know these, so they run as they are.
		"[[ a == b ]]\nls", "((1))\nls", "echo $((1+2))\nls", "case x in\nx) ls;;\nesac\nls", "time ls\nls", "coproc ls\nls", "x=(1 2)\nls",
		"declare -a x=(1)\nls", "for ((i=0;i<2;i++)); do ls; done\nls", "select x in a; do ls; done\nls", "cat <<'EOF'\nx\nEOF\nls",
		"cat <<\"EOF\"\nx\nEOF\nls", "cat <<\\EOF\nx\nEOF\nls", "echo !(a)\nls", "if [[ a ]]; then ls; fi\nls",
		// Nobody can parse these.
		"echo \"a\nls", "echo 'a\nls", "echo `a\nls", "ls;;\nls", "if true; then\nls", "fi\nls", ")\nls", "&& ls\nls", "ls\n;ls",
	} {
		if parts, _ := inspect(one); parts != nil {
			t.Errorf("%q is cut into %q", one, parts)
		}
	}
}

func TestUnended(t *testing.T) {
	for text, want := range map[string]bool{
		"cat <<EOF": true, "cat << 'EOF'\na\nb": true, "cat <<-EOF\na\n EOF": true, "cat <<EOF\na\nEOF": false, "cat <<< x": false, "echo $((1<<2))": false,
		"echo '<<'": false, "echo \"<<EOF": false, "cat <<A <<B\na\nA\n": true,
	} {
		if _, unended := inspect(text); unended != want {
			t.Errorf("%q: %t", text, unended)
		}
	}
}

// FuzzSplit: what is cut is all there, in order, and no text harms the parser or takes it long.
func FuzzSplit(f *testing.F) {
	f.Add("ls\npwd")
	f.Add("cat <<EOF\nx\nEOF\nls # c\n(a\nb)")
	f.Add(strings.Repeat("$((", 5000) + "\n")
	f.Add(strings.Repeat("if ", 20000) + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		parts, _ := inspect(text)
		if parts == nil {
			return
		}
		if len(parts) < 2 {
			t.Fatalf("%q is cut into one", text)
		}
		rest := text
		for _, p := range parts {
			i := strings.Index(rest, p)
			if i < 0 || strings.TrimSpace(rest[:i]) != "" {
				t.Fatalf("%q: before %q there is %q", text, p, rest[:max(i, 0)])
			}
			rest = rest[i+len(p):]
		}
		if strings.TrimSpace(rest) != "" {
			t.Fatalf("%q is left", rest)
		}
	})
}
