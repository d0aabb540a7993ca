package server

import (
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// info tells of the server and its sandbox.
func (s *Server) info(a asked) {
	up, idle := s.load.uptime(), s.figures.idle()
	resources, err := json.Marshal(s.resources())
	if err != nil {
		fail(a.RequestCtx, err)
		return
	}
	c := s.config
	answerJSON(a.RequestCtx, fasthttp.StatusOK, wire.Info{
		Server: "sandboxd " + c.version(), Version: wire.Version, Oldest: wire.OldestVersion,
		Started: s.load.began.UTC(), Uptime: up.Seconds(), Idle: idle.Seconds(),
		User: s.userName(), Workspace: c.Dir, Browser: s.browserState(), Resources: resources,
		Disk: diskOf(c.Dir), Killed: s.memory.killed(),
		Limits: wire.InfoLimits{Waiting: maxWaiting, Body: c.MaxBody, Output: c.MaxOutput, Forwards: maxForwards,
			Processes: c.Processes, Memory: s.memory.bound()},
		Plugins: s.pluginStates(), Troubles: s.troubles(),
	})
}

// userName is whose the programs are.
func (s *Server) userName() string {
	uid := os.Geteuid()
	if s.config.User != nil {
		uid = int(s.config.User.Uid)
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

// scarce is when a disk counts as full: less than what a build or a package's installation writes in a moment.
const scarce = 64 << 20

// troubles are what the machine lacks or lacked, a sentence each.
func (s *Server) troubles() (all []string) {
	if t := s.memory.trouble(); t != "" {
		all = append(all, t)
	}
	if d := diskOf(s.config.Dir); d.Total > 0 && d.Free < min(scarce, d.Total/20) {
		all = append(all, fmt.Sprintf("disk full: at %s %d of %d bytes are free", s.config.Dir, d.Free, d.Total))
	}
	return all
}

// browserState is how Chromium is confined; "" if it was not started.
func (s *Server) browserState() string {
	return map[string]string{"chromium": "sandbox", "none": "no-sandbox"}[s.browserInfo().Sandbox]
}

// pluginStates tells of the plugins that were asked for.
func (s *Server) pluginStates() []wire.Plugin {
	all := []wire.Plugin{}
	for _, name := range s.config.Plugins {
		p := wire.Plugin{Name: name, State: "ready"}
		switch name {
		case "vscode":
			p.State, p.Error = s.vscodeState()
		case "jupyter":
			p.State, p.Error = s.kernelState()
		}
		all = append(all, p)
	}
	return all
}
