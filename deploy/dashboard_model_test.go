package deploy

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// needed are the fields that Grafana's schema (version 39; the types of its Foundation SDK are made of it) has of a panel without "?":
// Grafana fills in what an import lacks of most of them, and breaks on some.
var needed = map[string][]string{
	"row": {"collapsed", "panels"},
	"stat": {"options.reduceOptions.calcs", "options.reduceOptions.values", "options.graphMode", "options.colorMode", "options.justifyMode", "options.textMode",
		"options.wideLayout", "options.showPercentChange", "options.percentChangeColorMode", "options.orientation", "fieldConfig.defaults", "fieldConfig.overrides"},
	"timeseries": {"options.legend.displayMode", "options.legend.placement", "options.legend.showLegend", "options.legend.calcs", "options.tooltip.mode",
		"options.tooltip.sort", "fieldConfig.defaults", "fieldConfig.overrides"},
}

// units are those of Grafana (its value formats) that we have a use for.
var units = []string{"short", "ops", "s", "bytes", "percentunit"}

// at gives what stands at a path of an object.
func at(v any, path string) (any, bool) {
	for name := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		inner, ok := object[name]
		if !ok {
			return nil, false
		}
		v = inner
	}
	return v, true
}

func list(v any, path string) []any {
	inner, _ := at(v, path)
	all, _ := inner.([]any)
	return all
}

func text(v any, path string) string {
	inner, _ := at(v, path)
	s, _ := inner.(string)
	return s
}

// The dashboard is one that Grafana takes as it stands: it has what its schema needs, and what it names is there.
func TestDashboardIsOfTheSchema(t *testing.T) {
	var d any
	b, err := os.ReadFile("grafana/sandtree.json")
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"title", "uid", "schemaVersion", "time.from", "time.to", "templating.list", "annotations.list", "panels"} {
		if _, ok := at(d, field); !ok {
			t.Errorf("it has no %s", field)
		}
	}
	variables := []string{"$__rate_interval", "$__all"} // Grafana's own
	for _, v := range list(d, "templating.list") {
		name := text(v, "name")
		variables = append(variables, "$"+name, "${"+name+"}")
		if _, ok := at(v, "current.value"); !ok {
			t.Errorf("the variable %s begins with no value", name)
		}
		if text(v, "type") == "datasource" != (name == "datasource" && text(v, "query") == "prometheus") {
			t.Errorf("the variable %s: %v", name, v)
		}
	}
	used := regexp.MustCompile(`\$\{?\w+\}?`)
	for _, name := range used.FindAllString(string(b), -1) {
		if !slices.Contains(variables, name) {
			t.Errorf("there is no variable %s, only %q", name, variables)
		}
	}
	for _, p := range list(d, "panels") {
		t.Run(text(p, "title"), func(t *testing.T) { checkPanel(t, p) })
	}
}

func checkPanel(t *testing.T, p any) {
	kind := text(p, "type")
	if needed[kind] == nil {
		t.Fatalf("it is a %q", kind)
	}
	for _, field := range needed[kind] {
		if _, ok := at(p, field); !ok {
			t.Errorf("it has no %s", field)
		}
	}
	if kind == "row" {
		return
	}
	said := []string{text(p, "fieldConfig.defaults.unit")}
	var refs []string
	for _, target := range list(p, "targets") {
		ref := text(target, "refId")
		if ref == "" || slices.Contains(refs, ref) || text(target, "datasource.uid") != "${datasource}" || text(target, "datasource.type") != "prometheus" {
			t.Errorf("the query %q: %v", ref, target)
		}
		refs = append(refs, ref)
		checkLegend(t, text(target, "expr"), text(target, "legendFormat"))
	}
	for _, o := range list(p, "fieldConfig.overrides") {
		if text(o, "matcher.id") != "byFrameRefID" || !slices.Contains(refs, text(o, "matcher.options")) {
			t.Errorf("an override of nothing: %v", o)
		}
		for _, property := range list(o, "properties") {
			if text(property, "id") == "unit" {
				said = append(said, text(property, "value"))
			}
		}
	}
	for _, unit := range said {
		if !slices.Contains(units, unit) {
			t.Errorf("the unit %q is not among %q", unit, units)
		}
	}
}

// checkLegend sees that the labels of a legend are left by the query: those that it groups by, or what every series has that is not summed up.
func checkLegend(t *testing.T, query, legend string) {
	kept := []string{"instance"}
	if by := regexp.MustCompile(`\bby \(([^)]*)\)`).FindStringSubmatch(query); by != nil {
		kept = strings.Split(by[1], ", ")
	} else if regexp.MustCompile(`^(sum|max|min|avg)\(`).MatchString(query) {
		kept = nil
	}
	for _, m := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(legend, -1) {
		if !slices.Contains(kept, m[1]) {
			t.Errorf("the legend %q of %s: only %q are left", legend, query, kept)
		}
	}
}
