package instruments_test

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/sandtree/sandtree/supervisor"
	"github.com/sandtree/sandtree/supervisor/instruments"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

var update = flag.Bool("update", false, "rewrite golden files, and the table in the documentation")

const (
	golden = "testdata/metrics.txt"
	manual = "../../docs/observability.md"
)

// figure is a metric as it is seen: name, type, labels, what it says.
type figure struct{ name, kind, labels, help string }

func (f figure) line() string { return strings.Join([]string{f.name, f.kind, f.labels, f.help}, "\t") }

// ofController gathers the metrics of a System that has done something.
func ofController(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	s := open(t, func(c *supervisor.Config) { c.Pool = supervisor.Pool{Least: 1, Most: 1} })
	r := prometheus.NewPedanticRegistry()
	traces, err := instruments.OpenTraces(instruments.TracesConfig{Endpoint: "http://localhost:1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { traces.Close(t.Context()) })
	if err := instruments.Register(r, s, traces, "v1"); err != nil {
		t.Fatal(err)
	}
	run(t, t.Context(), s, "a", "true")
	if _, err := s.Runtime(t.Context(), sandbox.Spec{ID: "b", Workspace: "/none/such"}); sandbox.CodeOf(err) != sandbox.Invalid {
		t.Fatalf("a workspace that is not there: %v", err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// ofSandboxd is the page of a sandboxd that has done something, and its metrics.
func ofSandboxd(t *testing.T) (page string, families map[string]*dto.MetricFamily) {
	t.Helper()
	box := sandboxdtest.Start(t)
	if _, err := box.Run(t.Context(), "true"); err != nil {
		t.Fatal(err)
	}
	resp, err := box.Client().Get("http://sandbox" + wire.PathMetrics)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if families, err = parser.TextToMetricFamilies(strings.NewReader(string(b))); err != nil {
		t.Fatal(err)
	}
	return string(b), families
}

func labelsOf(f *dto.MetricFamily) string {
	var names []string
	for _, m := range f.Metric {
		for _, l := range m.Label {
			if !slices.Contains(names, l.GetName()) {
				names = append(names, l.GetName())
			}
		}
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

func seen(f *dto.MetricFamily) figure {
	return figure{f.GetName(), strings.ToLower(f.GetType().String()), labelsOf(f), f.GetHelp()}
}

// There are exactly the metrics that the golden file lists, of the controller and of the server in a sandbox, and they keep
// to the rules.
func TestTheMetricsAreThoseOfTheList(t *testing.T) {
	var all []figure
	table := map[string]figure{}
	for _, m := range instruments.Table() {
		labels := slices.Sorted(slices.Values(m.Labels))
		f := figure{m.Name, m.Kind, strings.Join(labels, ","), m.Help}
		table[m.Name] = f
		all = append(all, f)
	}
	told := map[string]bool{}
	for _, family := range ofController(t) {
		f := seen(family)
		told[f.name] = true
		if !strings.HasPrefix(f.name, "sandtree_") { // the process', which the library knows
			all = append(all, f)
		} else if table[f.name] != f {
			t.Errorf("%+v is told, the table has %+v", f, table[f.name])
		}
	}
	for name := range table {
		if !told[name] {
			t.Errorf("%s is in the table, and nobody tells it", name)
		}
	}
	page, families := ofSandboxd(t)
	for _, name := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(page, -1) {
		if families[name[1]] == nil {
			t.Fatalf("%s has no value: have the server do something of it", name[1])
		}
		all = append(all, seen(families[name[1]]))
	}
	slices.SortFunc(all, func(a, b figure) int { return cmp.Compare(a.name, b.name) })
	for _, f := range all {
		if err := f.check(); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
	}
	lint(t, page)
	compare(t, all)
}

// units are what a name may end in: of a gauge also what is counted.
var units = regexp.MustCompile(`_(seconds|bytes|total|info|records|messages|actors|actions|runtimes|goroutines|sandboxes|orphans|breakers|` +
	`entries|sessions|processes|connections|forwards|descriptors|fds)$`)

// few are the labels that there may be: each takes few values. None is the id of anything.
var few = []string{"backend", "code", "how", "kind", "op", "outcome", "phase", "result", "state", "status", "version"}

func (f figure) check() error {
	switch {
	case !units.MatchString(f.name):
		return fmt.Errorf("the name does not end in a unit")
	case strings.HasSuffix(f.name, "_total") != (f.kind == "counter"):
		return fmt.Errorf("a counter ends in _total, and nothing else does")
	case f.help == "" || !strings.HasSuffix(f.help, "."):
		return fmt.Errorf("the help is no sentence: %q", f.help)
	}
	for l := range strings.SplitSeq(f.labels, ",") {
		if l != "" && !slices.Contains(few, l) {
			return fmt.Errorf("the label %s is not among those with few values", l)
		}
	}
	return nil
}

// lint asks Prometheus' own linter about the server's page, which no library makes.
func lint(t *testing.T, page string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func compare(t *testing.T, all []figure) {
	t.Helper()
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintln(&b, f.line())
	}
	want, err := os.ReadFile(golden)
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if err != nil || string(want) != b.String() {
		t.Errorf("the metrics differ from %s, %v: read the difference, then go test ./supervisor/instruments -update\n%s", golden, err, &b)
	}
	document(t, all)
}

// document holds the table in the documentation to the list.
func document(t *testing.T, all []figure) {
	t.Helper()
	const begin, end = "<!-- metrics: written by go test ./supervisor/instruments -update -->\n", "<!-- end of metrics -->\n"
	var b strings.Builder
	b.WriteString("| metric | type | labels | what it says |\n|---|---|---|---|\n")
	for _, f := range all {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, strings.ReplaceAll(f.labels, ",", ", "), f.help)
	}
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	have, after, closed := strings.Cut(rest, end)
	switch {
	case !ok || !closed:
		t.Fatalf("%s has no place for the table of metrics", manual)
	case have == b.String():
	case *update:
		if err := os.WriteFile(manual, []byte(before+begin+b.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the table in %s differs: go test ./supervisor/instruments -update", manual)
	}
}
