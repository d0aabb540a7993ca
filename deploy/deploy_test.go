// Package deploy holds no code: its tests hold the alerts and the dashboard here to the metrics that there are.
package deploy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sandtree/sandtree/testing/need"
)

// listed are the labels of each metric in the list, and whether it is a histogram.
type listed struct {
	labels    []string
	histogram bool
}

func metrics(t *testing.T) map[string]listed {
	t.Helper()
	f, err := os.Open("../supervisor/instruments/testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[string]listed{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		p := strings.Split(lines.Text(), "\t")
		all[p[0]] = listed{strings.Split(p[2], ","), p[1] == "histogram"}
	}
	if len(all) < 40 {
		t.Fatalf("the list has %d metrics", len(all))
	}
	return all
}

var (
	texts    = regexp.MustCompile(`"[^"]*"`)
	matchers = regexp.MustCompile(`\{[^}]*\}`)
	ranges   = regexp.MustCompile(`\[[^\]]*\]`)
	groups   = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	names    = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\s*\(?`)
	labelled = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)`)
)

// read takes an expression apart: the metrics and the labels that it names.
func read(expr string) (metrics, labels []string) {
	expr = texts.ReplaceAllString(expr, `""`)
	for _, m := range matchers.FindAllString(expr, -1) {
		for _, l := range labelled.FindAllStringSubmatch(m, -1) {
			labels = append(labels, l[1])
		}
	}
	expr = ranges.ReplaceAllString(matchers.ReplaceAllString(expr, ""), "")
	for _, g := range groups.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(g[1], ",") {
			if l = strings.TrimSpace(l); l != "" {
				labels = append(labels, l)
			}
		}
	}
	expr = groups.ReplaceAllString(expr, "")
	for _, n := range names.FindAllString(expr, -1) {
		if n = strings.TrimSpace(n); !strings.HasSuffix(n, "(") && !slices.Contains([]string{"and", "or", "unless", "bool", "offset"}, n) {
			metrics = append(metrics, n)
		}
	}
	return metrics, labels
}

// check says what an expression names that there is not.
func check(expr string, known map[string]listed) error {
	used, labels := read(expr)
	if len(used) == 0 {
		return fmt.Errorf("no metric in %s", expr)
	}
	may := []string{"instance", "job"} // which Prometheus adds
	for _, name := range used {
		m, ok := known[name]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(name, suffix); cut && known[base].histogram {
				m, ok = known[base], true
				if suffix == "_bucket" {
					may = append(may, "le")
				}
			}
		}
		if !ok {
			return fmt.Errorf("there is no metric %s: %s", name, expr)
		}
		if known[name].histogram {
			return fmt.Errorf("%s is a histogram, which has _bucket, _sum and _count: %s", name, expr)
		}
		may = append(may, m.labels...)
	}
	for _, l := range labels {
		if !slices.Contains(may, l) {
			return fmt.Errorf("none of %q has the label %s: %s", used, l, expr)
		}
	}
	return nil
}

func TestReadTakesExpressionsApart(t *testing.T) {
	known := map[string]listed{"a_total": {labels: []string{"code"}}, "b_seconds": {labels: []string{"kind"}, histogram: true}}
	for expr, good := range map[string]bool{
		`sum by (code) (rate(a_total{code=~"x|y_total", instance="i"}[5m])) > 0.1`:                  true,
		`histogram_quantile(0.95, sum by (le, kind) (rate(b_seconds_bucket[5m]))) and on() a_total`: true,
		`c_total`:                 false,
		`sum(b_seconds)`:          false,
		`sum by (kind) (a_total)`: false,
		`a_total{id="x"}`:         false,
		`a_total_bucket`:          false,
		`1 > 0`:                   false,
	} {
		if err := check(expr, known); (err == nil) != good {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

// rules are Prometheus' rule files, as much of them as is looked at here.
type rules struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

type rule struct {
	Alert       string            `yaml:"alert,omitempty"`
	Record      string            `yaml:"record,omitempty"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

func parse(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// Every alert names metrics that there are, says how bad it is and what to do, stands in the manual, and is tried both ways.
func TestAlerts(t *testing.T) {
	var all rules
	parse(t, "prometheus/alerts.yaml", &all)
	var tests struct {
		Tests []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert    string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	parse(t, "prometheus/alerts_test.yaml", &tests)
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, r := range test.Rules {
			if len(r.Expected) > 0 {
				fires[r.Alert] = true
			} else {
				quiet[r.Alert] = true
			}
		}
	}
	manual, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	known, seen := metrics(t), map[string]bool{}
	for _, g := range all.Groups {
		for _, r := range g.Rules {
			if err := check(r.Expr, known); err != nil {
				t.Errorf("%s: %v", r.Alert, err)
			}
			if !fires[r.Alert] || !quiet[r.Alert] {
				t.Errorf("%s: it is tried to fire: %v, and not to: %v", r.Alert, fires[r.Alert], quiet[r.Alert])
			}
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: %v, %v", r.Alert, r.Labels, r.Annotations)
			}
			if !strings.Contains(string(manual), "`"+r.Alert+"`") {
				t.Errorf("%s is not in docs/observability.md", r.Alert)
			}
			if seen[r.Alert] {
				t.Errorf("there are two %s", r.Alert)
			}
			seen[r.Alert] = true
		}
	}
}

// promtool runs Prometheus' own tool, which must be content.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(need.Tool(t, "promtool"), args...)
	cmd.Dir = "prometheus"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolTakesTheAlerts(t *testing.T) {
	promtool(t, "check", "rules", "--lint-fatal", "alerts.yaml")
	promtool(t, "test", "rules", "alerts_test.yaml")
}

// dashboard is Grafana's model, as much of it as is looked at here.
type dashboard struct {
	Title, UID string
	Templating struct {
		List []struct {
			Name, Definition string
		}
	}
	Panels []panel
}

type panel struct {
	ID          int
	Type, Title string
	Description string
	Datasource  struct{ UID string }
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct{ RefID, Expr string }
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	b, err := os.ReadFile("grafana/sandtree.json")
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// variable stands for what Grafana puts in.
var variable = strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*")

// Every panel of the dashboard shows metrics that there are, and stands where no other does.
func TestDashboard(t *testing.T) {
	d, known, used := readDashboard(t), metrics(t), map[string]bool{}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0 || p.Datasource.UID != "${datasource}") {
			t.Errorf("panel %d %q: %+v", p.ID, p.Title, p)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x > 23 {
					t.Errorf("%q is where %q is, at %d %d", p.Title, other, x, y)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			if err := check(variable.Replace(target.Expr), known); err != nil {
				t.Errorf("%q: %v", p.Title, err)
			}
			names, _ := read(variable.Replace(target.Expr))
			for _, n := range names {
				used[n] = true
			}
		}
	}
	for _, v := range d.Templating.List {
		if m := regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`).FindStringSubmatch(v.Definition); v.Definition != "" && (m == nil || known[m[1]].labels == nil) {
			t.Errorf("the variable %s: %s", v.Name, v.Definition)
		}
	}
	if len(used) < 30 {
		t.Errorf("only %d metrics are shown: %q", len(used), slices.Sorted(maps.Keys(used)))
	}
}

// Prometheus' own parser takes every query of the dashboard, as if it were a rule.
func TestPromtoolTakesTheDashboard(t *testing.T) {
	need.Tool(t, "promtool")
	var all rules
	all.Groups = append(all.Groups, struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	}{Name: "dashboard"})
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			r := rule{Record: fmt.Sprintf("panel%d:%s", p.ID, target.RefID), Expr: variable.Replace(target.Expr)}
			all.Groups[0].Rules = append(all.Groups[0].Rules, r)
		}
	}
	b, err := yaml.Marshal(all)
	path := filepath.Join(t.TempDir(), "queries.yaml")
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", path)
}
