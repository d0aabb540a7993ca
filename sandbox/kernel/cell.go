package kernel

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/sandtree/sandtree/sandbox"
)

// A cell gathers what a kernel says of one piece of code.
type cell struct {
	id      string
	idle    chan struct{} // closed when the kernel has done with it
	replied chan struct{} // closed when it has answered; what was printed may come later

	mu       sync.Mutex
	over     bool // nobody waits for it any more
	out      sandbox.Output
	printed  int64 // bytes given to out
	seen     bool  // it has printed something
	page     page
	clearing bool // the next output takes the place of all before it
	images   []string
	displays []display
	held     int // bytes of images and displays
	left     int // images and displays that were too much
	moved    chan struct{}
}

// A display is what was shown in other forms than text.
type display struct {
	id     string // by which it can be changed; "" cannot
	bundle json.RawMessage
}

const (
	maxShown      = 64       // images of one cell, and displays
	maxShownBytes = 24 << 20 // of all of them
)

func newCell(id string, out sandbox.Output) *cell {
	return &cell{id: id, out: out, idle: make(chan struct{}), replied: make(chan struct{}), moved: make(chan struct{}, 1)}
}

// abandon ends the gathering: out is not called any more.
func (c *cell) abandon() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
}

// take takes a message of the output channel.
func (c *cell) take(m message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	select {
	case c.moved <- struct{}{}:
	default:
	}
	if m.Content == nil {
		c.printLocked(fmt.Sprintf("[An output of %d bytes was left out: it is too long.]\n", m.Left))
		return
	}
	switch m.Type {
	case "stream":
		var s struct {
			Text string `json:"text"`
		}
		if json.Unmarshal(m.Content, &s) == nil {
			c.printLocked(s.Text)
		}
	case "execute_result", "display_data", "update_display_data":
		var d shown
		if json.Unmarshal(m.Content, &d) == nil {
			c.showLocked(d, m.Type == "update_display_data")
		}
	case "error":
		var e failure
		if json.Unmarshal(m.Content, &e) == nil {
			c.printLocked(e.text())
		}
	case "clear_output":
		var w struct {
			Wait bool `json:"wait"`
		}
		if json.Unmarshal(m.Content, &w) == nil {
			if c.clearing = w.Wait; !w.Wait {
				c.clearLocked()
			}
		}
	}
}

// A failure is what a kernel says of an exception.
type failure struct {
	Name      string      `json:"ename"`
	Value     string      `json:"evalue"`
	Traceback few[string] `json:"traceback"`
}

func (f failure) text() string {
	if len(f.Traceback) == 0 {
		return f.Name + ": " + f.Value
	}
	return strings.Join(f.Traceback, "\n")
}

// shown is the content of a message that shows a value: it by mime type.
type shown struct {
	Data      bundle `json:"data"`
	Transient struct {
		ID string `json:"display_id"`
	} `json:"transient"`
}

// imageTypes are those that OpenHands' clients can show.
var imageTypes = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

func (c *cell) showLocked(d shown, again bool) {
	if plain := textOf(d.Data["text/plain"]); plain != "" && !again {
		c.printLocked(plain)
	} else if c.clearing {
		c.clearLocked()
	}
	for _, typ := range imageTypes {
		if s := strings.Join(strings.Fields(textOf(d.Data[typ])), ""); s != "" {
			if c.roomLocked(len(s)) {
				c.images = append(c.images, "data:"+typ+";base64,"+s)
			}
			delete(d.Data, typ)
		}
	}
	if _, plain := d.Data["text/plain"]; len(d.Data) == 0 || plain && len(d.Data) == 1 {
		return
	}
	b, err := json.Marshal(d.Data)
	if err != nil || !c.roomLocked(len(b)) {
		return
	}
	if id := d.Transient.ID; again && id != "" {
		for i := range c.displays {
			if c.displays[i].id == id {
				c.held -= len(c.displays[i].bundle)
				c.displays[i].bundle = b
				return
			}
		}
	}
	c.displays = append(c.displays, display{d.Transient.ID, b})
}

// textOf is a value that is a string, or strings to be joined, as notebooks have them.
func textOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var parts few[string]
	if json.Unmarshal(raw, &parts) == nil {
		return strings.Join(parts, "")
	}
	return ""
}

// roomLocked reserves so many bytes for something shown.
func (c *cell) roomLocked(n int) bool {
	if c.held+n > maxShownBytes || len(c.images) >= maxShown || len(c.displays) >= maxShown {
		c.left++
		return false
	}
	c.held += n
	return true
}

func (c *cell) printLocked(s string) {
	if c.clearing {
		c.clearLocked()
	}
	if s == "" {
		return
	}
	c.seen = true
	c.page.write(s)
	if c.out != nil {
		c.out(c.printed, []byte(s))
		c.printed += int64(len(s))
	}
}

func (c *cell) clearLocked() {
	c.page.clear()
	c.seen, c.clearing, c.images, c.displays, c.held = false, false, nil, nil, 0
}

// print adds a text that did not come over the output channel.
func (c *cell) print(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.printLocked(s)
	}
}

// note is print, on a line of its own.
func (c *cell) note(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.page.at > 0 {
		s = "\n" + s
	}
	c.printLocked(s)
}

// noOutput is OpenHands' text for a cell that printed nothing.
const noOutput = "[Code executed successfully with no output]"

// result is what was seen. The cell is over.
func (c *cell) result() (content string, images []string, displays json.RawMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if content = noOutput; c.seen {
		content = c.page.text()
	}
	if c.left > 0 {
		content = fmt.Sprintf("%s\n[%d images or displays were left out: they are too many or too large.]", strings.TrimRight(content, "\n"), c.left)
	}
	for i, d := range c.displays {
		displays = append(append(displays, "[,"[min(i, 1)]), d.bundle...)
	}
	if displays != nil {
		displays = append(displays, ']')
	}
	return content, c.images, displays
}
