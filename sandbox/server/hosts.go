package server

import (
	"net"
	"os"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// privateNames end names that nobody can register, and so that no stranger's name server can make lead here: of
// machines, containers and clusters. Neither can they names without a dot.
var privateNames = []string{".localhost", ".local", ".internal"}

// byOwnName says whether the request calls the server by an address or by a name that it may have. A page whose name a
// stranger makes lead here (DNS rebinding) is of the same origin as the answers and so may read them: but it asks by that name.
// Behind a Unix socket names mean nothing, and no page gets there.
func (s *Server) byOwnName(ctx *fasthttp.RequestCtx) bool {
	if _, tcp := ctx.LocalAddr().(*net.TCPAddr); !tcp {
		return true
	}
	return isOwnName(string(ctx.Host()), s.config.Hosts)
}

func isOwnName(host string, told []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	address, _, _ := strings.Cut(host, "%")
	if !strings.Contains(host, ".") || net.ParseIP(address) != nil {
		return true
	}
	if slices.ContainsFunc(privateNames, func(end string) bool { return strings.HasSuffix(host, end) }) {
		return true
	}
	is := func(name string) bool { return strings.EqualFold(strings.TrimSuffix(name, "."), host) }
	machine, err := os.Hostname()
	return err == nil && is(machine) || slices.ContainsFunc(told, is)
}
