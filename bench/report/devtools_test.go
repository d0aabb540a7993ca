package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/sandtree/sandtree/testing/need"
)

// A chromium is a browser without a window, spoken to in the DevTools protocol over two pipes, one call at a time.
type chromium struct {
	t       *testing.T
	w       io.Writer
	r       *bufio.Reader
	session string
	last    int
	Events  []devtoolsMessage // that came while calls waited
}

type devtoolsMessage struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// startChromium starts a browser that ends with the test, with one page open.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	path := need.Tool(t, "chromium")
	commands, events := pipe(t), pipe(t)
	cmd := exec.Command(path, "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--no-zygote", "--disable-gpu", "--hide-scrollbars",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-dev-shm-usage",
		"--disable-breakpad", "--force-color-profile=srgb", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{commands[0], events[1]} // 3 and 4 are what the browser looks for
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	commands[0].Close()
	events[1].Close()
	c := &chromium{t: t, w: commands[1], r: bufio.NewReaderSize(events[0], 1<<20)}
	t.Cleanup(func() {
		hung := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		defer hung.Stop()
		c.session = ""
		c.call("Browser.close", nil, nil)
		if _, err := io.Copy(io.Discard, c.r); err != nil { // until all of it has ended
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	var target struct{ TargetID string }
	c.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	c.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	c.session = attached.SessionID
	for _, domain := range []string{"Page", "Network", "Log"} {
		c.call(domain+".enable", nil, nil)
	}
	return c
}

func pipe(t *testing.T) [2]*os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return [2]*os.File{r, w}
}

// call waits for the answer and keeps what comes before it.
func (c *chromium) call(method string, params, result any) {
	c.t.Helper()
	c.last++
	call := map[string]any{"id": c.last, "method": method, "params": params}
	if params == nil {
		call["params"] = struct{}{}
	}
	if c.session != "" {
		call["sessionId"] = c.session
	}
	b, err := json.Marshal(call)
	if err == nil {
		_, err = c.w.Write(append(b, 0))
	}
	for err == nil {
		var m devtoolsMessage
		if m, err = c.next(); err != nil {
			break
		}
		if m.ID != c.last {
			c.Events = append(c.Events, m)
			continue
		}
		if m.Error != nil {
			c.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result == nil {
			return
		}
		if err = json.Unmarshal(m.Result, result); err == nil {
			return
		}
	}
	c.t.Fatalf("%s: %v", method, err)
}

func (c *chromium) next() (m devtoolsMessage, err error) {
	b, err := c.r.ReadBytes(0)
	if err != nil {
		return m, fmt.Errorf("the browser has ended: %w", err)
	}
	return m, json.Unmarshal(b[:len(b)-1], &m)
}

// open loads a page and waits until it has been loaded.
func (c *chromium) open(url string) {
	c.t.Helper()
	c.Events = nil
	c.call("Page.navigate", map[string]any{"url": url}, nil)
	for _, m := range c.Events {
		if m.Method == "Page.loadEventFired" {
			return
		}
	}
	for {
		m, err := c.next()
		if err != nil {
			c.t.Fatal(err)
		}
		c.Events = append(c.Events, m)
		if m.Method == "Page.loadEventFired" {
			return
		}
	}
}

// eval gives what an expression is, by value.
func (c *chromium) eval(expression string, v any) {
	c.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	c.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		c.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	if err := json.Unmarshal(r.Result.Value, v); err != nil {
		c.t.Fatalf("%s: %v", expression, err)
	}
}
