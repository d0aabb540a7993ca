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
	fmt.Fprintf(&b, "## Bench %s of %s\n\n", md(r.Name), md(r.Target.Name))
	for _, d := range r.Disturbed {
		fmt.Fprintf(&b, "> ⚠️ **Disturbed:** %s\n", md(d))
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
		fmt.Fprintf(&b, "- %s: %s\n", p.Key, md(p.Value))
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
				fmt.Fprintf(b, "- **%s** missed %s: found %s\n", md(s.Name), md(v.Rule+source(v)), md(found(v)))
			}
		}
		if s.Failed != "" {
			fmt.Fprintf(b, "- **%s** ended early: %s\n", md(s.Name), md(s.Failed))
		}
	}
	if b.Len() > n {
		b.WriteString("\n")
	}
}

func mdGroup(b *bytes.Buffer, g group) {
	fmt.Fprintf(b, "| %s | p50 | p90 | p99 | p99.9 | max | noise | × floor | targets |\n|---|--:|--:|--:|--:|--:|--:|--:|---|\n", md(g.Title))
	for _, s := range g.Scenarios {
		if s.Unsupported != "" {
			fmt.Fprintf(b, "| %s | | | | | | | | not supported: %s |\n", md(s.Name), md(s.Unsupported))
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
	fmt.Fprintf(b, "| %s |", md(name))
	for _, v := range percentiles(x) {
		fmt.Fprintf(b, " %s |", md(v))
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
		all = append(all, md(c.Key)+" "+c.Value)
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

// mdLength is how much of one text is shown, in characters: an error may be a whole page.
const mdLength = 300

// md makes a text harmless in a cell of Markdown: on one line, and every character that could mean something is a
// character reference, which reads as the character and as nothing else. GitHub looks for mentions and numbers of issues
// in what comes of that, so those are parted from their sign by a space of no width.
func md(s string) string {
	var b strings.Builder
	for _, r := range plain.Line(s, mdLength) {
		switch {
		case r == '@' || r == '#':
			fmt.Fprintf(&b, "&#%d;\u200b", r)
		case strings.ContainsRune("\\`*_{}[]<>+!|~&$:", r):
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
