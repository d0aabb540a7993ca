package bench_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/bench"
	"github.com/sandtree/sandtree/sandbox"
)

func TestBuiltInSetsAreGood(t *testing.T) {
	names := bench.Sets()
	if strings.Join(names, " ") != "full quick soak" {
		t.Errorf("there are %q", names)
	}
	kinds := map[string]bool{}
	for _, name := range names {
		s, err := bench.Load(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if s.Name != name || s.Title == "" {
			t.Errorf("%s: name %q, title %q", name, s.Name, s.Title)
		}
		for _, sc := range s.Scenarios {
			kinds[sc.Kind] = true
		}
	}
	for _, kind := range bench.Kinds() {
		if !kinds[kind] {
			t.Errorf("no set has the kind %q", kind)
		}
	}
}

func TestParseFillsIn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.toml")
	if err := os.WriteFile(path, []byte("[[scenario]]\nname='a'\nkind='latency'\nop='true'\nsamples=50\nlimit='3s'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := bench.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	sc := s.Scenarios[0]
	if s.Name != "mine" || sc.Title != "a" || sc.Rounds != 5 || sc.Warmup != 5 || sc.Clients != 1 || time.Duration(sc.Limit) != 3*time.Second {
		t.Errorf("%q: %+v", s.Name, sc)
	}
}

func TestParseRefuses(t *testing.T) {
	scenario := func(lines ...string) string {
		return "[[scenario]]\nname = \"a\"\n" + strings.Join(lines, "\n")
	}
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                {"", "no [[scenario]]"},
		"no TOML":                {"[[scenario]\n", "line 1"},
		"an unknown key":         {scenario(`kind = "latency"`, `op = "true"`, `sampels = 3`), `line 5: there is no key "scenario.sampels"`},
		"an unknown table":       {scenario(`kind = "latency"`, `op = "true"`, "[more]", "x = 1"), "line 5"},
		"another type":           {scenario(`kind = "latency"`, `samples = "many"`), "line 4"},
		"no name":                {"[[scenario]]\nkind = \"latency\"\n", "needs a name"},
		"the same name":          {scenario(`kind = "latency"`, `op = "true"`) + "\n" + scenario(`kind = "latency"`, `op = "true"`), `another "a"`},
		"an unknown kind":        {scenario(`kind = "latencies"`), "latency"},
		"an unknown op":          {scenario(`kind = "latency"`, `op = "dance"`), "output-1mb"},
		"no op":                  {scenario(`kind = "latency"`), `op is ""`},
		"an unknown start":       {scenario(`kind = "startup"`, `from = "hot"`), "cold"},
		"an unknown piece":       {scenario(`kind = "recovery"`, `piece = "moon"`), "controller"},
		"a useless key":          {scenario(`kind = "latency"`, `op = "true"`, `streams = 3`), `no use for "streams"`},
		"a negative number":      {scenario(`kind = "latency"`, `op = "true"`, `samples = -1`), "negative"},
		"a huge number":          {scenario(`kind = "density"`, `runtimes = 1000000000`), "larger than any machine"},
		"a bad time":             {scenario(`kind = "connections"`, `streams = 3`, `duration = "3 parsecs"`), "line 5"},
		"a time of nothing":      {scenario(`kind = "connections"`, `streams = 3`, `duration = "0s"`), "want a time"},
		"a time as a number":     {scenario(`kind = "latency"`, `op = "true"`, `limit = 3`), `such as "3s"`},
		"a negative one":         {scenario(`kind = "connections"`, `streams = 3`, `duration = -3`), `such as "3s"`},
		"an unknown figure":      {scenario(`kind = "latency"`, `op = "true"`, `thresholds = ["p97 < 3"]`), "p99.9"},
		"a count in time":        {scenario(`kind = "latency"`, `op = "true"`, `thresholds = ["lost < 3ms"]`), "a number alone"},
		"open without rate":      {scenario(`kind = "throughput"`, `op = "true"`, `mode = "open"`), "rate"},
		"closed with a rate":     {scenario(`kind = "throughput"`, `op = "true"`, `mode = "closed"`, `rate = 3`), "rate"},
		"edits that race":        {scenario(`kind = "throughput"`, `op = "edit"`, `mode = "closed"`), "depend on each other"},
		"too little to ask":      {scenario(`kind = "overload"`, `factor = 0.5`), "more than 1"},
		"no streams":             {scenario(`kind = "connections"`), "streams"},
		"a bad threshold":        {scenario(`kind = "latency"`, `op = "true"`, `thresholds = ["p99 ~ 3ms"]`), "p99 ~ 3ms"},
		"a bad one for a target": {scenario(`kind = "latency"`, `op = "true"`, `thresholds_for = {docker = ["p99 ~ 3ms"]}`), "p99 ~ 3ms"},
	} {
		_, err := bench.Parse("x.toml", []byte(c.text))
		if sandbox.CodeOf(err) != sandbox.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want Invalid with %q", name, err, c.want)
		}
	}
}

func TestLoadFindsNone(t *testing.T) {
	for _, name := range []string{"swift", "../quick", "there-is-none.toml"} {
		if _, err := bench.Load(name); sandbox.CodeOf(err) != sandbox.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range bench.Sets() {
		b, err := os.ReadFile("scenarios/" + name + ".toml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("[[scenario]]\nname='a'\nkind='latency'\nop='true'\nthresholds=['a b: p99.9 >= 3 GB']"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := bench.Parse("fuzz.toml", b)
		if err != nil {
			if sandbox.CodeOf(err) != sandbox.Invalid {
				t.Errorf("%v", err)
			}
			return
		}
		if len(s.Scenarios) == 0 {
			t.Error("a set without scenarios was taken")
		}
		for _, sc := range s.Scenarios {
			if sc.Rounds < 1 || sc.Samples < 1 || sc.Clients < 1 || sc.Runtimes < 1 || sc.Limit <= 0 {
				t.Errorf("%+v", sc)
			}
		}
	})
}
