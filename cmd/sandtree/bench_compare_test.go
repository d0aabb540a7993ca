package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/bench/result"
)

// writeRun writes the report of a run in which true took so many microseconds, and gives its directory.
func writeRun(t *testing.T, micros float64, change func(*result.Report)) string {
	t.Helper()
	dice := rand.New(rand.NewPCG(uint64(micros), 1))
	x := result.Series{Name: "latency", Unit: "ns", Better: "less"}
	for range 5 {
		round := make([]float64, 50)
		for i := range round {
			round[i] = 1e3 * micros * (1 + 0.02*dice.Float64())
		}
		x.Rounds = append(x.Rounds, round)
	}
	x.Summary = result.Summarize(x.Rounds)
	r := result.Report{Schema: result.Schema, Name: "quick", Target: result.Target{Name: "local"}, Machine: result.Machine{CPU: "a"},
		Scenarios: []result.Scenario{{Name: "true", Kind: "latency", Series: []result.Series{x}}}}
	if change != nil {
		change(&r)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "report.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBenchCompare(t *testing.T) {
	u := newUser(t)
	a, same, slow := writeRun(t, 300, nil), writeRun(t, 301, nil), writeRun(t, 360, nil)
	other := writeRun(t, 300, func(r *result.Report) { r.Machine.CPU = "b" })
	u.run("bench", "compare", a, same).want(t, 0, "no change in 1 figures")
	u.run("bench", "compare", a, slow).want(t, 10, "worse", "+20.")
	u.run("bench", "compare", slow, a).want(t, 0, "better")
	u.run("bench", "compare", "--threshold", "30%", a, slow).want(t, 0, "worse")
	u.run("bench", "compare", "--markdown", a, slow).want(t, 10, "❌", "| true |")
	u.run("bench", "compare", a, other).want(t, 4).wantErr(t, "different machines", "--force")
	u.run("bench", "compare", "--force", a, other).want(t, 0, "different machines")
	u.run("bench", "compare", "--threshold", "x", a, a).want(t, 2).wantErr(t, "--threshold", "10%")
	u.run("bench", "compare", a, filepath.Join(a, "none")).want(t, 3)
	u.run("bench", "compare", a).want(t, 2).wantErr(t, "two runs")
	if v := objects(t, u.run("bench", "compare", "--json", a, slow).want(t, 10).out)[0]; v["failed"] != true {
		t.Errorf("as JSON: %v", v)
	}
}

func TestBenchReport(t *testing.T) {
	u := newUser(t)
	dir := writeRun(t, 300, nil)
	u.run("bench", "report", filepath.Join(dir, "report.json")).want(t, 0, "Latency", "true", "30")
	u.run("bench", "report", "--markdown", dir).want(t, 0, "## Bench quick of local")
	page := filepath.Join(dir, "page.html")
	u.run("bench", "report", dir, "--html", page).want(t, 0)
	if b, err := os.ReadFile(page); err != nil || len(b) < 5000 {
		t.Error(len(b), err)
	}
	u.run("bench", "report", dir, "--html", "/nowhere/page.html").want(t, 2)
	u.runWith("{}", "bench", "report", "-").want(t, 2).wantErr(t, "no report of sandtree bench")
	u.run("bench", "report", "/nowhere").want(t, 3)
}
