package report

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/bench/result"
)

// A drawing is a plot as the browser has laid it out.
type drawing struct {
	ID                        string
	X, Y, Width, Height       float64 // in the page, in pixels
	ContentWidth, ContentHigh float64 // of what is drawn, in the drawing's own units
	Colours                   []string
}

const drawingsOf = `[...document.querySelectorAll('svg')].map(s => {
	const r = s.getBoundingClientRect(), b = s.getBBox();
	const shapes = [...s.querySelectorAll('.f, .l:not(.floor):not(.mark):not(.median):not(.whisker), .dot')];
	return {ID: s.getAttribute('aria-labelledby'), X: r.x+scrollX, Y: r.y+scrollY, Width: r.width, Height: r.height, ContentWidth: b.width, ContentHigh: b.height,
		Colours: [...new Set(shapes.map(e => getComputedStyle(e).color))]};
})`

// TestPlotsAreDrawn looks at the page in a real browser, light and dark, wide and narrow: every plot has room, and the colours
// of its series are in the picture where the plot is. Nothing was asked of anybody, and the browser found no fault.
// go test -artifacts keeps the pictures.
func TestPlotsAreDrawn(t *testing.T) {
	c := startChromium(t)
	r := sample()
	r.Scenarios = slices.DeleteFunc(r.Scenarios, func(s result.Scenario) bool { return strings.HasPrefix(s.Name, "latency-") && s.Name != "latency-true" })
	url := "file://" + written(t, r)
	for _, scheme := range []string{"light", "dark"} {
		c.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
		for _, width := range []int{1280, 400} {
			t.Run(fmt.Sprintf("%s %d", scheme, width), func(t *testing.T) {
				c.t = t
				look(t, c, url, scheme, width)
			})
			c.t = t
		}
	}
}

func look(t *testing.T, c *chromium, url, scheme string, width int) {
	c.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
	c.open(url)
	var all []drawing
	c.eval(drawingsOf, &all)
	if len(all) < 15 {
		t.Fatalf("%d plots", len(all))
	}
	picture := c.picture(filepath.Join(t.ArtifactDir(), "page.png"))
	colours := map[string]bool{}
	for _, d := range all {
		if d.Width < 200 || d.Height < 40 || d.ContentWidth < 200 || d.ContentHigh < 50 || d.X < 0 || d.X+d.Width > float64(width) {
			t.Errorf("%s has no room: %+v", d.ID, d)
		}
		for _, name := range d.Colours {
			colours[name] = true
			if n := pixels(picture, d, name); n < enough {
				t.Errorf("%s: %d pixels of %s", d.ID, n, name)
			}
		}
		if len(d.Colours) == 0 {
			t.Errorf("%s has no series", d.ID)
		}
	}
	if len(colours) < 5 {
		t.Errorf("colours in use: %v", colours)
	}
	if r, _, _, _ := picture.At(2, 2).RGBA(); (r > 0x8000) != (scheme == "light") {
		t.Errorf("the paper is %v", picture.At(2, 2))
	}
	var overflow bool
	c.eval(`document.documentElement.scrollWidth > innerWidth`, &overflow)
	if overflow {
		t.Error("the page is wider than the window")
	}
	for _, m := range c.Events {
		if m.Method == "Log.entryAdded" || m.Method == "Network.requestWillBeSent" && !strings.Contains(string(m.Params), url) {
			t.Errorf("%s %s", m.Method, m.Params)
		}
	}
}

// picture is a screenshot of the whole page, which it keeps in a file too.
func (c *chromium) picture(file string) *image.RGBA {
	var size struct{ W, H float64 }
	c.eval(`({W: document.documentElement.clientWidth, H: document.documentElement.scrollHeight})`, &size)
	var shot struct{ Data []byte }
	c.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true,
		"clip": map[string]any{"x": 0, "y": 0, "width": size.W, "height": size.H, "scale": 1}}, &shot)
	picture, err := png.Decode(bytes.NewReader(shot.Data))
	if err == nil {
		err = os.WriteFile(file, shot.Data, 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	if plain, ok := picture.(*image.RGBA); ok {
		return plain
	}
	plain := image.NewRGBA(picture.Bounds())
	draw.Draw(plain, plain.Bounds(), picture, image.Point{}, draw.Src)
	return plain
}

// enough pixels of a colour are what a lone dot has on a telephone.
const enough = 8

// pixels counts those within a plot that have the colour, of the form "rgb(0, 103, 177)", but for what an eye cannot tell; enough of them.
func pixels(picture *image.RGBA, d drawing, name string) (n int) {
	var r, g, b int
	if _, err := fmt.Sscanf(name, "rgb(%d, %d, %d)", &r, &g, &b); err != nil {
		return 0
	}
	near := func(a uint8, b int) bool { return int(a)-b < 40 && b-int(a) < 40 }
	for y := int(d.Y); y < int(d.Y+d.Height) && n < enough; y++ {
		for x := int(d.X); x < int(d.X+d.Width); x++ {
			if c := picture.RGBAAt(x, y); near(c.R, r) && near(c.G, g) && near(c.B, b) {
				n++
			}
		}
	}
	return n
}

// written is the path of a page.
func written(t *testing.T, r *result.Report) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := HTML(f, r); err != nil {
		t.Fatal(err)
	}
	return path
}
