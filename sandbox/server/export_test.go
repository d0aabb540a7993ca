package server

import (
	"maps"
	"slices"
)

// Break makes whatever needs files panic.
func (s *Server) Break() { s.files = nil }

// IsOwnName is for its table.
func IsOwnName(host string, told []string) bool { return isOwnName(host, told) }

// routesByPath gives the methods of each native route, nil if it answers them all itself.
func (s *Server) routesByPath() map[string][]string {
	all := map[string][]string{}
	for _, r := range s.newRoutes() {
		all[r.path] = nil
		if r.do == nil {
			all[r.path] = slices.Sorted(maps.Keys(r.methods))
		}
	}
	return all
}

// Routes is the table of a server that has nothing else.
func Routes() map[string][]string { return new(Server).routesByPath() }
