package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// native is the version of the native form that has the routes of this and the neighbouring files.
const native = 2

// A question is a small request with JSON both ways.
type question struct {
	op, method, target string
	in, out            any  // nil if there is nothing to send, or to be told
	once               bool // done twice it would do harm: after a cut nobody asks again, and the answer is Lost
	gone               bool // it takes something away: if a repetition does not find it, an earlier try has had its way
}

// put asks a question.
func (c *Client) put(ctx context.Context, q question) error {
	r := &request{method: q.method, target: q.target, quiet: fileStall, since: native, once: q.once}
	if q.in != nil {
		var err error
		if r.body, err = json.Marshal(q.in); err != nil {
			return c.error(q.op, &failure{code: sandbox.Invalid, err: err})
		}
	}
	b, err := c.call(ctx, q.op, r)
	if q.gone && r.doubted && sandbox.CodeOf(err) == sandbox.NotFound {
		return nil
	}
	if err != nil || q.out == nil {
		return err
	}
	if err := json.Unmarshal(b, q.out); err != nil {
		return c.error(q.op, &failure{code: sandbox.Lost, err: fmt.Errorf("malformed answer: %w", err)})
	}
	return nil
}

// below makes the target of what has a name of its own. Code: Invalid.
func (c *Client) below(op, route, name, suffix string) (string, error) {
	if err := sandbox.CheckActionID(name); err != nil {
		return "", c.error(op, &failure{code: sandbox.Invalid, err: err})
	}
	return route + "/" + name + suffix, nil
}

// Sessions lists the shells of the sandbox.
func (c *Client) Sessions(ctx context.Context) (all []wire.Session, err error) {
	err = c.put(ctx, question{op: "Sessions", method: "GET", target: wire.PathSessions, out: &all})
	return all, err
}

// OpenSession starts a shell with a state of its own, or gives the one of that name if it was started by an equal spec.
// Actions name it in their Session. Codes: Invalid, Conflict, Exhausted, Unsupported, and those of any request.
func (c *Client) OpenSession(ctx context.Context, name string, spec wire.SessionSpec) (s wire.Session, err error) {
	target, err := c.below("OpenSession", wire.PathSessions, name, "")
	if err == nil {
		err = c.put(ctx, question{op: "OpenSession", method: "PUT", target: target, in: spec, out: &s})
	}
	return s, err
}

// EndSession ends a shell and what runs in it. Code: NotFound.
func (c *Client) EndSession(ctx context.Context, name string) error {
	target, err := c.below("EndSession", wire.PathSessions, name, "")
	if err != nil {
		return err
	}
	return c.put(ctx, question{op: "EndSession", method: "DELETE", target: target, gone: true})
}

// Kernels lists the Jupyter kernels that were asked for.
func (c *Client) Kernels(ctx context.Context) (all []wire.Kernel, err error) {
	err = c.put(ctx, question{op: "Kernels", method: "GET", target: wire.PathKernels, out: &all})
	return all, err
}

// StartKernel starts a kernel, or gives the one of that name and language. Codes: Invalid, Conflict, Unsupported (what is
// missing is not installed).
func (c *Client) StartKernel(ctx context.Context, name string, spec wire.KernelSpec) (k wire.Kernel, err error) {
	target, err := c.below("StartKernel", wire.PathKernels, name, "")
	if err == nil {
		err = c.put(ctx, question{op: "StartKernel", method: "PUT", target: target, in: spec, out: &k})
	}
	return k, err
}

// EndKernel ends a kernel; what its cells made is gone. Code: NotFound.
func (c *Client) EndKernel(ctx context.Context, name string) error {
	target, err := c.below("EndKernel", wire.PathKernels, name, "")
	if err != nil {
		return err
	}
	return c.put(ctx, question{op: "EndKernel", method: "DELETE", target: target, gone: true})
}

// InterruptKernel interrupts the cell that runs. Code: NotFound.
func (c *Client) InterruptKernel(ctx context.Context, name string) error {
	return c.postKernel(ctx, "InterruptKernel", name, wire.SuffixInterrupt)
}

// RestartKernel ends a kernel and starts it again, empty. Code: NotFound.
func (c *Client) RestartKernel(ctx context.Context, name string) error {
	return c.postKernel(ctx, "RestartKernel", name, wire.SuffixRestart)
}

func (c *Client) postKernel(ctx context.Context, op, name, suffix string) error {
	target, err := c.below(op, wire.PathKernels, name, suffix)
	if err != nil {
		return err
	}
	return c.put(ctx, question{op: op, method: "POST", target: target, once: true})
}

// MCPServers lists the MCP servers of the sandbox.
func (c *Client) MCPServers(ctx context.Context) (all []wire.MCPServer, err error) {
	err = c.put(ctx, question{op: "MCPServers", method: "GET", target: wire.PathMCP, out: &all})
	return all, err
}

// SetMCPServers makes these the MCP servers of the sandbox; those that are not named end. Code: Invalid.
func (c *Client) SetMCPServers(ctx context.Context, specs []wire.MCPServerSpec) (all []wire.MCPServer, err error) {
	if specs == nil {
		specs = []wire.MCPServerSpec{}
	}
	err = c.put(ctx, question{op: "SetMCPServers", method: "PUT", target: wire.PathMCP, in: specs, out: &all})
	return all, err
}

// MCPTools lists the tools of all MCP servers, by the names that sandbox.MCPArgs calls them.
func (c *Client) MCPTools(ctx context.Context) (all []wire.MCPTool, err error) {
	err = c.put(ctx, question{op: "MCPTools", method: "GET", target: wire.PathMCP + wire.SuffixTools, out: &all})
	return all, err
}

// Info tells of the server and its sandbox.
func (c *Client) Info(ctx context.Context) (i wire.Info, err error) {
	err = c.put(ctx, question{op: "Info", method: "GET", target: wire.PathInfo, out: &i})
	return i, err
}

// Metrics gives the server's figures in Prometheus' text form.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	return c.call(ctx, "Metrics", &request{method: "GET", target: wire.PathMetrics, quiet: c.config.Stall, control: true, since: native})
}

// Version asks which versions of the native form the server speaks. Nobody needs to: every answer tells.
func (c *Client) Version(ctx context.Context) (v wire.VersionInfo, err error) {
	err = c.put(ctx, question{op: "Version", method: "GET", target: wire.PathVersion, out: &v})
	return v, err
}

// Stat tells of a file, of what a link leads to if follow is set. Code: NotFound.
func (c *Client) Stat(ctx context.Context, path string, follow bool) (s wire.FileStat, err error) {
	target, err := c.at("Stat", wire.PathStat, path)
	if err == nil {
		err = c.put(ctx, question{op: "Stat", method: "GET", target: target + "&follow=" + strconv.FormatBool(follow), out: &s})
	}
	return s, err
}

// Move renames a file or a directory. Codes: NotFound, Conflict (to is there).
func (c *Client) Move(ctx context.Context, m wire.Move) error {
	return c.put(ctx, question{op: "Move", method: "POST", target: wire.PathMove, in: m, once: true})
}

// Remove removes a file, a link or a directory. Codes: NotFound, Conflict (not empty).
func (c *Client) Remove(ctx context.Context, r wire.Remove) error {
	return c.put(ctx, question{op: "Remove", method: "POST", target: wire.PathRemove, in: r, gone: true})
}

// Mkdir makes a directory and its parents. Code: Conflict (it is there, and r is exclusive).
func (c *Client) Mkdir(ctx context.Context, m wire.Mkdir) error {
	return c.put(ctx, question{op: "Mkdir", method: "POST", target: wire.PathMkdir, in: m, once: m.Exclusive})
}

// Chmod changes permissions. Codes: NotFound, Denied.
func (c *Client) Chmod(ctx context.Context, m wire.Chmod) error {
	return c.put(ctx, question{op: "Chmod", method: "POST", target: wire.PathChmod, in: m})
}

// Glob finds paths by a pattern. Code: Invalid.
func (c *Client) Glob(ctx context.Context, g wire.Glob) (r wire.GlobResult, err error) {
	err = c.put(ctx, question{op: "Glob", method: "POST", target: wire.PathGlob, in: g, out: &r})
	return r, err
}

// Ports lists the ports that something in the sandbox listens at.
func (c *Client) Ports(ctx context.Context) (all []wire.Port, err error) {
	err = c.put(ctx, question{op: "Ports", method: "GET", target: wire.PathPorts, out: &all})
	return all, err
}

// query makes the query of names and values in turn.
func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}
