package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// A canvas is an SVG drawing in the making. All colours come from the style sheet by class, so that a drawing follows the
// scheme of whoever looks at it; all text is escaped here and nowhere else.
type canvas struct {
	b             strings.Builder
	width, height float64
}

// plotWidth is that of all plots, in the units of their own drawings: near the width in pixels at which they are shown, so that
// text keeps its size.
const plotWidth = 520

func newCanvas(height float64) *canvas { return &canvas{width: plotWidth, height: height} }

// num is a coordinate with a tenth of a unit, which no eye can tell from more.
func num(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		v = 0
	}
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&c.b, `<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>`, num(x1), num(y1), num(x2), num(y2), class)
}

// rect draws a rectangle; about is what a pointer that rests on it is told, "" is nothing.
func (c *canvas) rect(x, y, w, h float64, class, about string) {
	fmt.Fprintf(&c.b, `<rect x="%s" y="%s" width="%s" height="%s" class="%s">`, num(x), num(y), num(max(0, w)), num(max(0, h)), class)
	if about != "" {
		c.b.WriteString("<title>" + html.EscapeString(about) + "</title>")
	}
	c.b.WriteString("</rect>")
}

func (c *canvas) dot(x, y float64, class string) {
	fmt.Fprintf(&c.b, `<circle cx="%s" cy="%s" r="3.5" class="%s"/>`, num(x), num(y), class)
}

// text writes a text whose start, middle or end is at x.
func (c *canvas) text(x, y float64, anchor, class, s string) {
	fmt.Fprintf(&c.b, `<text x="%s" y="%s" text-anchor="%s" class="%s">%s</text>`, num(x), num(y), anchor, class, html.EscapeString(s))
}

// A place is a point of a drawing.
type place struct{ x, y float64 }

// curve draws a line through places.
func (c *canvas) curve(through []place, class string) { c.path(through, "", class) }

// area fills what lies between two lines.
func (c *canvas) area(upper, lower []place, class string) {
	around := append([]place{}, upper...)
	for i := len(lower) - 1; i >= 0; i-- {
		around = append(around, lower[i])
	}
	c.path(around, "Z", class)
}

func (c *canvas) path(through []place, end, class string) {
	if len(through) == 0 {
		return
	}
	c.b.WriteString(`<path d="`)
	for i, p := range through {
		c.b.WriteByte("ML"[min(i, 1)])
		c.b.WriteString(num(p.x) + " " + num(p.y))
	}
	fmt.Fprintf(&c.b, `%s" class="%s"/>`, end, class)
}

// done is the drawing, with a title and a description for those who do not see it. id is unique in the page.
func (c *canvas) done(id, title, description string) template.HTML {
	t, d := html.EscapeString(title), html.EscapeString(description)
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %s %s" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>%s</svg>`,
		num(c.width), num(c.height), id, id, id, t, id, d, c.b.String()))
}

// colours is how many series can be told apart; a plot with more of them repeats none but leaves some out, and says so.
const colours = 6

// colour is the class of the i-th series.
func colour(i int) string { return "s" + strconv.Itoa(i%colours+1) }

// fit cuts a text to what has room in a width of units, at the size of labels.
func fit(s string, width float64) string {
	const perCharacter = 7.2 // units, of an average letter at 13
	s = strings.Join(strings.Fields(s), " ")
	most := max(2, int(width/perCharacter))
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
