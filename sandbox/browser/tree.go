package browser

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// An axNode is one of an accessibility tree, as the browser gives it.
type axNode struct {
	ID         string          `json:"nodeId"`
	Role       *axValue        `json:"role"`
	Name       *axValue        `json:"name"`
	Value      *axValue        `json:"value"`
	Properties []property      `json:"properties"`
	Children   []string        `json:"childIds"`
	Element    int64           `json:"backendDOMNodeId"`
	raw        json.RawMessage // the whole of it; nil unless it was asked for
}

type axValue struct {
	Value json.RawMessage `json:"value"`
}

type property struct {
	Name  string   `json:"name"`
	Value *axValue `json:"value"`
}

// A snapshot is the part of the DOM's that ties the tree's nodes to bids.
type snapshot struct {
	Documents []struct {
		Nodes struct {
			Attributes [][]int `json:"attributes"`
			Element    []int64 `json:"backendNodeId"`
			Clickable  struct {
				Index []int `json:"index"`
			} `json:"isClickable"`
		} `json:"nodes"`
	} `json:"documents"`
	Strings []string `json:"strings"`
}

// A tree is the accessibility tree of a page with that of each frame below the element that shows it.
type tree struct {
	nodes     []treeNode // the first is the page's root
	bids      map[int64]string
	clickable map[string]bool
	rows      map[string]element
}

type treeNode struct {
	axNode
	bid      string
	children []int
}

func newTree(t *tab, frames [][]axNode, dom *snapshot, rows map[string]element) *tree {
	all := &tree{bids: map[int64]string{}, clickable: map[string]bool{}, rows: rows}
	all.learn(dom)
	roots := map[string]int{} // of frames, by the bid of the element that shows it
	for i, nodes := range frames {
		if len(nodes) > 0 {
			roots[t.frames[i].bid] = len(all.nodes)
		}
		all.add(nodes)
	}
	for i := range all.nodes {
		n := &all.nodes[i]
		if root, ok := roots[n.bid]; ok && n.bid != "" && n.role() == "Iframe" {
			n.children = append(n.children, root)
		}
	}
	return all
}

// learn reads the bids, which stand in attributes.
func (t *tree) learn(dom *snapshot) {
	text := func(i int) string {
		if i < 0 || i >= len(dom.Strings) {
			return ""
		}
		return dom.Strings[i]
	}
	for _, d := range dom.Documents {
		own := make([]string, len(d.Nodes.Attributes))
		for i, attributes := range d.Nodes.Attributes {
			for j := 0; j+1 < len(attributes) && i < len(d.Nodes.Element); j += 2 {
				if text(attributes[j]) == "bid" {
					own[i] = text(attributes[j+1])
					t.bids[d.Nodes.Element[i]] = own[i]
				}
			}
		}
		for _, i := range d.Nodes.Clickable.Index {
			if i >= 0 && i < len(own) && own[i] != "" {
				t.clickable[own[i]] = true
			}
		}
	}
}

// add takes the nodes of a frame; ids mean something among them only.
func (t *tree) add(nodes []axNode) {
	at := make(map[string]int, len(nodes))
	for i, n := range nodes {
		at[n.ID] = len(t.nodes) + i
	}
	for _, n := range nodes {
		one := treeNode{axNode: n, bid: t.bids[n.Element]}
		for _, id := range n.Children {
			if c, ok := at[id]; ok && id != n.ID {
				one.children = append(one.children, c)
			}
		}
		t.nodes = append(t.nodes, one)
	}
}

func (n *treeNode) role() string { return plainText(n.Role) }

func plainText(v *axValue) (s string) {
	if v != nil {
		_ = json.Unmarshal(v.Value, &s)
	}
	return s
}

// left are the properties that agents have no use for.
const left = " editable readonly level settable multiline invalid focusable "

// String flattens the tree: a line for each node, a tab for each level.
func (t *tree) String() string {
	if len(t.nodes) == 0 {
		return ""
	}
	type place struct {
		node, depth int
		above       string // name of the parent
	}
	var b strings.Builder
	seen := make([]bool, len(t.nodes)) // the browser gives trees; a page cannot make us go round in circles
	for stack := []place{{}}; len(stack) > 0 && b.Len() <= maxText; {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[p.node] {
			continue
		}
		seen[p.node] = true
		n := &t.nodes[p.node]
		depth := p.depth
		line := t.line(n, p.above)
		if line != "" {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(strings.Repeat("\t", min(depth, 200)))
			b.WriteString(line)
			depth++
		}
		name := plainText(n.Name)
		for i := len(n.children) - 1; i >= 0; i-- {
			stack = append(stack, place{n.children[i], depth, name})
		}
	}
	return cut(b.String())
}

// line is that of a node; "" if it has none. above is the name of its parent. Lines of text on the screen (InlineTextBox)
// repeat the text that they are of.
func (t *tree) line(n *treeNode, above string) string {
	role, name := n.role(), plainText(n.Name)
	if n.Name == nil || role == "LineBreak" || role == "InlineTextBox" || role == "StaticText" && strings.Contains(above, name) {
		return ""
	}
	var b strings.Builder
	if n.bid != "" {
		b.WriteString("[" + n.bid + "] ")
	}
	b.WriteString(role)
	if role != "generic" || name != "" {
		b.WriteString(" " + repr(strings.TrimSpace(name)))
	}
	if n.Value != nil && n.Value.Value != nil {
		b.WriteString(" value=" + repr(decoded(n.Value.Value)))
	}
	if t.clickable[n.bid] && role != "StaticText" {
		b.WriteString(", clickable")
	}
	for _, p := range n.Properties {
		if p.Value == nil || p.Value.Value == nil || strings.Contains(left, " "+p.Name+" ") {
			continue
		}
		v := decoded(p.Value.Value)
		switch p.Name {
		case "required", "focused", "atomic":
			if v == true {
				b.WriteString(", " + p.Name)
			}
		default:
			b.WriteString(", " + p.Name + "=" + repr(v))
		}
	}
	return b.String()
}

func decoded(raw json.RawMessage) (v any) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return string(raw)
	}
	return v
}

// object is the tree in the browser's own form, with bids, and the frames' trees in their places.
func (t *tree) object() json.RawMessage {
	nodes := make([]map[string]json.RawMessage, len(t.nodes))
	for i, n := range t.nodes {
		if json.Unmarshal(n.raw, &nodes[i]) != nil || nodes[i] == nil {
			return none
		}
		children := make([]string, len(n.children))
		for j, c := range n.children {
			children[j] = strconv.Itoa(c)
		}
		nodes[i]["nodeId"] = quoted(strconv.Itoa(i))
		nodes[i]["childIds"], _ = json.Marshal(children)
		delete(nodes[i], "parentId")
		if n.bid != "" {
			nodes[i]["browsergym_id"] = quoted(n.bid)
		}
	}
	b, err := json.Marshal(map[string]any{"nodes": nodes})
	if err != nil {
		return none
	}
	return b
}

func quoted(s string) json.RawMessage {
	b, _ := json.Marshal(s) // a string always can be
	return b
}

// properties are what is told of each element besides the tree, by bid.
func (t *tree) properties() json.RawMessage {
	for bid, e := range t.rows {
		e.Clickable = t.clickable[bid]
		t.rows[bid] = e
	}
	b, err := json.Marshal(t.rows)
	if err != nil {
		return none
	}
	return b
}
