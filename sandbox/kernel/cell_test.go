package kernel

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

// The smallest of all PNGs.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

func TestRichOutput(t *testing.T) {
	ks := kernels(t, Config{})
	o, err := ks.Run(t.Context(), "", sandbox.IPythonArgs{Code: "import base64\nfrom IPython.display import *\n" +
		"display(HTML('<b>bold</b>'))\nh = display(Latex('$x$'), display_id=True)\nh.update(Latex('$y$'))\n" +
		"Image(data=base64.b64decode('" + pixel + "'), format='png')"}, 0, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := o.Result.(sandbox.IPythonResult)
	if want := "<IPython.core.display.HTML object><IPython.core.display.Latex object><IPython.core.display.Image object>"; o.Content != want {
		t.Errorf("%q", o.Content)
	}
	if len(r.ImageURLs) != 1 || r.ImageURLs[0] != "data:image/png;base64,"+pixel {
		t.Errorf("%q", r.ImageURLs)
	}
	want := `[{"text/html":"\u003cb\u003ebold\u003c/b\u003e","text/plain":"\u003cIPython.core.display.HTML object\u003e"},` +
		`{"text/latex":"$y$","text/plain":"\u003cIPython.core.display.Latex object\u003e"}]`
	if got := strings.NewReplacer("<", `\u003c`, ">", `\u003e`).Replace(string(r.Displays)); got != want {
		t.Errorf("%s", r.Displays)
	}
}

// What a cell shows and prints is bounded, and says so.
func TestTooMuch(t *testing.T) {
	ks := kernels(t, Config{})
	o, err := ks.Run(t.Context(), "", sandbox.IPythonArgs{Code: "from IPython.display import *\n" +
		"for i in range(100): display({'image/png': 'AAAA', 'text/plain': ''}, raw=True)\n" +
		"display({'text/html': 'x' * (40 << 20)}, raw=True)\nprint('end')"}, 0, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := o.Result.(sandbox.IPythonResult)
	if len(r.ImageURLs) != maxShown || r.Displays != nil {
		t.Errorf("%d images, %d bytes of displays", len(r.ImageURLs), len(r.Displays))
	}
	if got := o.Content; !strings.HasPrefix(got, "[An output of 419") || !strings.Contains(got, "]\nend\n[36 images or displays were left out") {
		t.Errorf("%q", got)
	}
}

// A cell that prints one line after the other, faster than anybody reads, loses nothing.
func TestManyMessages(t *testing.T) {
	ks := kernels(t, Config{})
	const n = 3000 // three times what ZeroMQ holds by default
	got := runCell(t, ks, "for i in range(3000): print(i, flush=True)")
	if lines := strings.Count(got, "\n") + 1; lines != n || !strings.HasSuffix(got, "\n2999") {
		t.Errorf("%d lines", lines)
	}
}

// What a kernel sends to fill the server's memory is left out, and the cell goes on.
func TestCellTakesNoCrowds(t *testing.T) {
	c := newCell("1", nil)
	many := strings.Repeat(`"",`, 200_000) + `""`
	forms := `{"a":1`
	for i := range 300 {
		forms += fmt.Sprintf(`,"%d":1`, i)
	}
	for typ, content := range map[string]string{
		"error":        `{"ename":"E","traceback":[` + many + `]}`,
		"display_data": `{"data":` + forms + `}}`,
	} {
		c.take(message{Type: typ, Content: json.RawMessage(content)})
	}
	c.take(message{Type: "stream", Content: json.RawMessage(`{"text":"after"}`)})
	c.abandon()
	c.print("too late")
	if content, _, displays := c.result(); content != "after" || displays != nil {
		t.Errorf("%.100q, %.100q", content, displays)
	}
}
