package deploy

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sandtree/sandtree/testing/need"
)

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
