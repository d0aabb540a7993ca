package deploy

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sandtree/sandtree/testing/need"
)

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
