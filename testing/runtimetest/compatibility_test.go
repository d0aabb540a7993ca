package runtimetest_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/testing/runtimetest"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/compatibility.md")

const (
	document = "../../docs/compatibility.md"
	begin    = "<!-- The tables from here on are written by go test ./testing/runtimetest -run Compatibility -update. -->\n"
	end      = "<!-- The tables end here. -->\n"
)

var titles = map[string]string{
	"test_bash.py":         "`tests/runtime/test_bash.py`",
	"test_aci_edit.py":     "`tests/runtime/test_aci_edit.py`",
	"tests/runtime":        "Other files of `tests/runtime`",
	"test_bash_session.py": "`tests/unit/runtime/utils/test_bash_session.py`",
	"must":                 "What the client or a test of it breaks without",
	"should":               "What agents rely on",
}

// The document lists every case, as the suite has it.
func TestCompatibilityDocument(t *testing.T) {
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the tables", document)
	}
	want := head + begin + tables() + end + tail
	if string(b) == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the suite has: run go test ./testing/runtimetest -run Compatibility -update", document)
	}
	if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func tables() string {
	var b strings.Builder
	group := ""
	for _, r := range runtimetest.Rows() {
		if r.Group != group {
			group = r.Group
			fmt.Fprintf(&b, "\n### %s\n\n| case | asserts | needs | result | where it is missing |\n|---|---|---|---|---|\n", titles[group])
		}
		refusal := "–"
		if len(r.Needs) > 0 {
			refusal = r.Refusal()
		}
		fmt.Fprintf(&b, "| %s | %s | %s | passes | %s |\n", cell(r.Name), cell(r.About), cell(orDash(strings.Join(r.Needs, ", "))), cell(refusal))
	}
	return b.String() + "\n"
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// cell is s as it stands in a table.
func cell(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "|", `\|`), "_", `\_`) }
