package mcp

import (
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// An origin is where something comes from: the server, and its name or URI there.
type origin struct {
	up   *upstream
	name string
}

// mirrors are what the Hub shows of its servers.
type mirrors struct {
	tools     mirror[sdk.Tool]
	prompts   mirror[sdk.Prompt]
	resources mirror[sdk.Resource]
	templates mirror[sdk.ResourceTemplate]
}

// A mirror is one kind of thing, by the names that the Hub gives them.
type mirror[T any] struct {
	shown map[string]*T // as the SDK's server has them
	from  map[string]origin
}

// show makes the SDK's server have what want names, and nothing else. What is the same is not touched, since clients are
// told of changes. add may panic over what a server has sent; such things are left out.
func (m *mirror[T]) show(want map[string]*T, from map[string]origin, add func(*T), remove func(...string), log func(name string, why any)) {
	var gone []string
	for name := range m.shown {
		if want[name] == nil {
			gone = append(gone, name)
		}
	}
	if len(gone) > 0 {
		remove(gone...)
	}
	for name, item := range want {
		if old := m.shown[name]; old != nil && reflect.DeepEqual(old, item) {
			continue
		}
		if why := attempt(func() { add(item) }); why != nil {
			log(name, why)
			if m.shown[name] != nil {
				remove(name)
			}
			delete(want, name)
			delete(from, name)
		}
	}
	m.shown, m.from = want, from
}

func attempt(f func()) (panicked any) {
	defer func() { panicked = recover() }()
	f()
	return nil
}

// mirror brings what the Hub shows in line with what its servers offer.
func (h *Hub) mirror() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mirrorLocked()
}

func (h *Hub) mirrorLocked() {
	s := h.serverLocked()
	tools, prompts := map[string]*sdk.Tool{}, map[string]*sdk.Prompt{}
	resources, templates := map[string]*sdk.Resource{}, map[string]*sdk.ResourceTemplate{}
	from := [4]map[string]origin{{}, {}, {}, {}}
	for _, u := range h.ups {
		o := u.offered()
		for _, t := range o.tools {
			shown := *t
			shown.Name = h.nameLocked(u, t.Name)
			if shown.InputSchema == nil {
				shown.InputSchema = map[string]any{"type": "object"}
			}
			put(tools, from[0], shown.Name, &shown, origin{u, t.Name})
		}
		for _, p := range o.prompts {
			shown := *p
			shown.Name = h.nameLocked(u, p.Name)
			put(prompts, from[1], shown.Name, &shown, origin{u, p.Name})
		}
		for _, r := range o.resources {
			put(resources, from[2], r.URI, r, origin{u, r.URI})
		}
		for _, t := range o.templates {
			put(templates, from[3], t.URITemplate, t, origin{u, t.URITemplate})
		}
	}
	n := &h.names
	n.tools.show(tools, from[0], func(t *sdk.Tool) { s.AddTool(t, h.callTool) }, s.RemoveTools, h.unfit("tool"))
	n.prompts.show(prompts, from[1], func(p *sdk.Prompt) { s.AddPrompt(p, h.getPrompt) }, s.RemovePrompts, h.unfit("prompt"))
	n.resources.show(resources, from[2], func(r *sdk.Resource) { mustParse(r.URI); s.AddResource(r, h.readResource) }, s.RemoveResources, h.unfit("resource"))
	n.templates.show(templates, from[3], func(t *sdk.ResourceTemplate) { s.AddResourceTemplate(t, h.readResource) }, s.RemoveResourceTemplates, h.unfit("template"))
}

// put adds an item, unless an earlier server has one of that name.
func put[T any](items map[string]*T, from map[string]origin, name string, item *T, o origin) {
	if items[name] == nil {
		items[name], from[name] = item, o
	}
}

// nameLocked is what the Hub calls a server's tool or prompt.
func (h *Hub) nameLocked(u *upstream, name string) string {
	if len(h.ups) == 1 {
		return name
	}
	return u.config.Name + "_" + name
}

func mustParse(uri string) {
	if u, err := url.Parse(uri); err != nil || u.Scheme == "" {
		panic(fmt.Errorf("%.100q is no absolute URI", uri))
	}
}

func (h *Hub) unfit(kind string) func(string, any) {
	return func(name string, why any) {
		h.log.Warn("what a tool server offers is left out", kind, name, "why", why)
	}
}

// offered is what the server has, or had when it last ran.
func (u *upstream) offered() offers {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.offers
}

// find says where a tool comes from; what gives the map that it is in.
func (h *Hub) find(name string, what func(*mirrors) map[string]origin) (origin, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o, ok := what(&h.names)[name]
	return o, ok
}

func toolOrigins(m *mirrors) map[string]origin     { return m.tools.from }
func promptOrigins(m *mirrors) map[string]origin   { return m.prompts.from }
func resourceOrigins(m *mirrors) map[string]origin { return m.resources.from }
func templateOrigins(m *mirrors) map[string]origin { return m.templates.from }

// toolNames lists what can be called, for an error; not more than a line's worth.
func (h *Hub) toolNames() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	names := slices.Sorted(maps.Keys(h.names.tools.from))
	const enough = 40
	if n := len(names) - enough; n > 0 {
		names = append(names[:enough], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(names, ", ")
}
