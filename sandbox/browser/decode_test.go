package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"

	"github.com/sandtree/sandtree/testing/leak"
)

const (
	someNodes = `[{"nodeId":"1","role":{"value":"RootWebArea"},"name":{"value":"Home"},"properties":[{"name":"focused","value":{"value":true}}],"childIds":["2","3","9","1"]},
{"nodeId":"2","role":{"value":"button"},"name":{"value":"it's"},"backendDOMNodeId":7,"value":{"value":"v"},"properties":[{"name":"expanded","value":{"value":false}},{"name":"level","value":{"value":1}},{"name":"checked","value":{"value":"true"}},{"name":"required","value":{"value":false}}],"childIds":["4"]},
{"nodeId":"3","role":{"value":"none"},"childIds":["5"]},{"nodeId":"4","role":{"value":"StaticText"},"name":{"value":"it"}},
{"nodeId":"5","role":{"value":"generic"},"name":{"value":""},"backendDOMNodeId":8,"childIds":["6"]},{"nodeId":"6","role":{"value":"slider"},"name":{"value":" Size "},"value":{"value":2.50},"childIds":[]}]`
	someDOM = `{"documents":[{"nodes":{"backendNodeId":[7,8],"attributes":[[0,1],[0,2,1]],"isClickable":{"index":[0,5]}}}],"strings":["bid","12","13"]}`
)

func treeOf(nodes, dom string) (*tree, error) {
	var all []axNode
	var s snapshot
	if err := errors.Join(json.Unmarshal([]byte(nodes), &all), json.Unmarshal([]byte(dom), &s)); err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(nodes), &raw); err != nil {
		return nil, err
	}
	for i := range all {
		all[i].raw = raw[i]
	}
	t := &tab{frames: []*frame{{rows: []row{{bid: "12", visible: 1, marked: true, rendered: true, w: 5, h: 5}}}}}
	return newTree(t, [][]axNode{all}, &s, t.elements()), nil
}

func TestTree(t *testing.T) {
	x, err := treeOf(someNodes, someDOM)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"RootWebArea 'Home', focused",
		"\t[12] button \"it's\" value='v', clickable, expanded=False, checked='true'",
		"\t[13] generic",
		"\t\tslider 'Size' value=2.50"}, "\n")
	if got := x.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	for _, want := range []string{`"browsergym_id":"12"`, `"childIds":["1","2"]`} {
		if got := string(x.object()); !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if got, want := string(x.properties()), `{"12":{"visibility":1,"bbox":[0,0,5,5],"clickable":true,"set_of_marks":true}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzTree(f *testing.F) {
	f.Add(someNodes, someDOM)
	f.Add(`[{"nodeId":"1","childIds":["1","1"],"name":{"value":{}},"role":{"value":7}},{"nodeId":"1"}]`, `{"documents":[{"nodes":{"attributes":[[0,-1,9]],"isClickable":{"index":[-1]}}}],"strings":["bid"]}`)
	f.Fuzz(func(t *testing.T, nodes, dom string) {
		x, err := treeOf(nodes, dom)
		if err != nil {
			return
		}
		if n := len(x.String()); n > maxText+200 {
			t.Errorf("%d bytes", n)
		}
		if !json.Valid(x.object()) || !json.Valid(x.properties()) {
			t.Error("no JSON")
		}
	})
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte("{\"id\":1,\"result\":{}}\x00{\"method\":\"x\",\"params\":{}}\x00"))
	f.Add([]byte("\x00\x00{\"id\":1,\"error\":{\"message\":\"no\"}}\x00{"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tab := newTab(&conn{sessions: map[string]*session{}, closed: true}, "s", &target.Info{TargetID: "t"})
		for in := bufio.NewReader(bytes.NewReader(raw)); ; {
			m, _, err := next(in)
			if err != nil {
				return
			}
			idOf(m)
			var one message
			if json.Unmarshal(m, &one) == nil && one.Method != "Inspector.targetCrashed" {
				tab.event(one.Method, one.Params)
			}
		}
	})
}

// pipes gives a connection and the browser's ends of it.
func pipes(t *testing.T) (c *conn, root *session, in *bufio.Reader, out *os.File) {
	t.Helper()
	leak.Check(t)
	commands, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c, root = newConn(r, w, func(string, []byte) {})
	t.Cleanup(func() {
		out.Close()
		commands.Close()
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	return c, root, bufio.NewReader(commands), out
}

// An answer that is too long is one call's error, and those after it are understood.
func TestAnswerTooLong(t *testing.T) {
	_, root, in, out := pipes(t)
	ask := func() error {
		_, err := call(t.Context(), root, browser.GetVersion, cdp.Empty{})
		return err
	}
	go func() {
		if _, err := in.ReadBytes(0); err != nil {
			return
		}
		io.WriteString(out, `{"id":1,"result":{"x":"`)
		for chunk, n := strings.Repeat("x", 1<<20), 0; n < maxMessage; n += len(chunk) {
			io.WriteString(out, chunk)
		}
		io.WriteString(out, "\"}}\x00")
		if _, err := in.ReadBytes(0); err == nil {
			io.WriteString(out, "{\"id\":2,\"result\":{}}\x00")
		}
	}()
	if err := ask(); err == nil || !strings.Contains(err.Error(), "has more than 96 MiB") {
		t.Error(err)
	}
	if err := ask(); err != nil {
		t.Error(err)
	}
}

func TestCallEnds(t *testing.T) {
	_, root, in, out := pipes(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		in.ReadBytes(0)
		cancel()
		in.ReadBytes(0)
		io.WriteString(out, "{\"id\":2,\"error\":{\"code\":-32000,\"message\":\"no such thing\"}}\x00")
		in.ReadBytes(0)
		out.Close()
	}()
	if _, err := call(ctx, root, browser.GetVersion, cdp.Empty{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := call(t.Context(), root, browser.GetVersion, cdp.Empty{}); !isProtocol(err) || err.Error() != "no such thing" {
		t.Error(err)
	}
	if _, err := call(t.Context(), root, browser.GetVersion, cdp.Empty{}); !errors.Is(err, errLost) {
		t.Error(err)
	}
}
