package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/internal/plain"
)

// Markdown writes the report as GitHub-flavoured Markdown, for a pull request: what missed first, then tables.
func Markdown(w io.Writer, r *result.Report) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "## Bench %s of %s\n\n", plain.Markdown(r.Name), plain.Markdown(r.Target.Name))
	for _, d := range r.Disturbed {
		fmt.Fprintf(&b, "> ⚠️ **Disturbed:** %s\n", plain.Markdown(d))
	}
	if len(r.Disturbed) > 0 {
		b.WriteString("\n")
	}
	mark := "✅"
	if c := count(r); c.Missed > 0 || len(ended(r)) > 0 {
		mark = "❌"
	}
	fmt.Fprintf(&b, "%s **%s**\n\n", mark, count(r))
	mdMissed(&b, r)
	for _, g := range grouped(r) {
		mdGroup(&b, g)
	}
	mdFloors(&b, r.Floors)
	b.WriteString("<details><summary>Machine and program</summary>\n\n")
	for _, p := range about(r) {
		fmt.Fprintf(&b, "- %s: %s\n", p.Key, plain.Markdown(p.Value))
	}
	b.WriteString("\n</details>\n")
	_, err := w.Write(b.Bytes())
	return err
}

func mdMissed(b *bytes.Buffer, r *result.Report) {
	n := b.Len()
	for _, s := range r.Scenarios {
		for _, v := range s.Verdicts {
			if !v.Held {
				fmt.Fprintf(b, "- **%s** missed %s: found %s\n", plain.Markdown(s.Name), plain.Markdown(v.Rule+source(v)), plain.Markdown(found(v)))
			}
		}
		if s.Failed != "" {
			fmt.Fprintf(b, "- **%s** ended early: %s\n", plain.Markdown(s.Name), plain.Markdown(s.Failed))
		}
	}
	if b.Len() > n {
		b.WriteString("\n")
	}
}

func mdGroup(b *bytes.Buffer, g group) {
	fmt.Fprintf(b, "| %s | p50 | p90 | p99 | p99.9 | max | noise | × floor | targets |\n|---|--:|--:|--:|--:|--:|--:|--:|---|\n", plain.Markdown(g.Title))
	for _, s := range g.Scenarios {
		if s.Unsupported != "" {
			fmt.Fprintf(b, "| %s | | | | | | | | not supported: %s |\n", plain.Markdown(s.Name), plain.Markdown(s.Unsupported))
			continue
		}
		for i, x := range s.Series {
			name, targets := "… "+x.Name, ""
			if i == 0 {
				name, targets = s.Name, mdTargets(s)
			}
			mdSeries(b, name, x, ratio(x), targets)
		}
	}
	b.WriteString("\n")
}

func mdSeries(b *bytes.Buffer, name string, x result.Series, ratio, targets string) {
	fmt.Fprintf(b, "| %s |", plain.Markdown(name))
	for _, v := range percentiles(x) {
		fmt.Fprintf(b, " %s |", plain.Markdown(v))
	}
	fmt.Fprintf(b, " %s | %s | %s |\n", noise(x), ratio, targets)
}

// mdTargets is the targets of a scenario and its counts, short.
func mdTargets(s result.Scenario) string {
	var all []string
	if t := (&tally{}); len(s.Verdicts) > 0 {
		t.add(s.Verdicts)
		mark := "✅"
		if t.Missed > 0 {
			mark = "❌"
		}
		all = append(all, fmt.Sprintf("%s %d/%d", mark, t.Held, t.Held+t.Missed))
	}
	for _, c := range counts(s.Counts) {
		all = append(all, plain.Markdown(c.Key)+" "+c.Value)
	}
	return strings.Join(all, ", ")
}

func mdFloors(b *bytes.Buffer, floors []result.Series) {
	if len(floors) == 0 {
		return
	}
	b.WriteString("<details><summary>Floors of the machine, measured in the same run</summary>\n\n")
	b.WriteString("| floor | p50 | p90 | p99 | p99.9 | max | noise | | |\n|---|--:|--:|--:|--:|--:|--:|---|---|\n")
	for _, f := range floors {
		mdSeries(b, f.Name, f, "", "")
	}
	b.WriteString("\n</details>\n\n")
}
