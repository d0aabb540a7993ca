// Package deploy holds no code: its tests hold the alerts and the dashboard here to the metrics that there are.
package deploy

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
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
