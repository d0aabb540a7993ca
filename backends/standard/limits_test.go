package standard

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/backends"
)

// table reads the one table of docs/limits.md that begins with the drivers' names: for each driver, what it says of each
// limit.
func table(t *testing.T) map[string]map[string]string {
	t.Helper()
	b, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	var drivers []string
	said := map[string]map[string]string{}
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case len(cells) > 1 && cells[0] == "limit" && cells[1] == "local":
			drivers = cells[1:]
			for _, d := range drivers {
				said[d] = map[string]string{}
			}
		case len(drivers) == 0 || strings.HasPrefix(cells[0], "---"):
		case len(cells) != len(drivers)+1:
			return said
		default:
			for i, d := range drivers {
				said[d][cells[0]] = cells[i+1]
			}
		}
	}
	return said
}

// The table for readers says what the drivers say.
func TestTheTableOfLimits(t *testing.T) {
	said := table(t)
	for name, open := range Drivers() {
		if said[name] == nil {
			t.Errorf("docs/limits.md has no column for %s", name)
			continue
		}
		d, err := open(backends.Options{StateDir: t.TempDir()})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c, ok := d.(io.Closer); ok {
			defer c.Close()
		}
		var enforced []string
		if l, ok := d.(backends.Limiter); ok {
			enforced = l.Enforces()
		}
		for _, limit := range backends.LimitNames {
			word, _, _ := strings.Cut(said[name][limit], " ")
			word = strings.TrimRight(word, ":")
			does := slices.Contains(enforced, limit)
			if !slices.Contains([]string{"yes", "no", "where"}, word) || word == "yes" && !does || word == "no" && does {
				t.Errorf("%s of %s: docs/limits.md says %q, the driver enforces %q", limit, name, said[name][limit], enforced)
			}
		}
	}
	for _, columns := range said {
		for limit := range columns {
			if !slices.Contains(backends.LimitNames, limit) {
				t.Errorf("docs/limits.md has a row for %q, which is no limit", limit)
			}
		}
	}
}
