package main

import (
	"embed"
	"encoding/json"
	"io"
	"maps"
	"runtime"
	_ "unsafe" // for go:linkname

	"gvisor.dev/gvisor/pkg/seccomp"
	"gvisor.dev/gvisor/pkg/seccomp/precompiledseccomp"
	"gvisor.dev/gvisor/pkg/sentry/platform"
	"gvisor.dev/gvisor/runsc/boot/filter"
	"gvisor.dev/gvisor/runsc/boot/filter/config"
)

// filters has the seccomp filters that gVisor's kernel puts on itself, as `sandtree-gvisor filters` writes them, in GOARCH.json. To
// make one takes 90 ms of processor time, a third of what a start takes; gVisor's own builds have them ready, and its Go module
// has not. Where the one that is asked for is not here, or they are of another gVisor, it is made as it starts.
//
//go:embed filters
var filters embed.FS

const filtersDir = "filters/"

// gVisor has no way to be told of them but its variable.
//
//go:linkname precompiledPrograms gvisor.dev/gvisor/runsc/boot/filter.precompiledPrograms
var precompiledPrograms map[string]precompiledseccomp.Program

type filtersOf struct {
	Version  string // as version gives it
	Programs map[string]precompiledseccomp.Program
}

// useFilters gives gVisor those that are here.
func useFilters() error {
	b, err := filters.ReadFile(filtersDir + runtime.GOARCH + ".json")
	if err != nil {
		return nil // it was built without
	}
	var made filtersOf
	if err := json.Unmarshal(b, &made); err != nil {
		return err
	}
	if made.Version != version() {
		return nil
	}
	filter.ListPrecompiled() // makes the map, once
	maps.Copy(precompiledPrograms, made.Programs)
	return nil
}

// rules are those that gVisor makes a filter of, which it gives nobody else.
//
//go:linkname rules gvisor.dev/gvisor/runsc/boot/filter/config.rules
func rules(opt config.Options, vars precompiledseccomp.Values) (allow, deny seccomp.SyscallRules)

// writeFilters makes those that sandboxes use, of this very program's gVisor, as gVisor's own builds do.
func writeFilters(w io.Writer) error {
	constructor, err := platform.Lookup("systrap")
	if err != nil {
		return err
	}
	made := filtersOf{version(), map[string]precompiledseccomp.Program{}}
	for _, info := range constructor.PrecompiledSeccompInfo() {
		for _, network := range []bool{true, false} {
			opt := config.Options{Platform: info, HostNetwork: network, HostFilesystem: true}
			var names []string
			for name := range opt.Vars() {
				names = append(names, name)
			}
			p, err := precompiledseccomp.Precompile(opt.ConfigKey(), names, func(vars precompiledseccomp.Values) *seccomp.Program {
				allow, deny := rules(opt, vars)
				return &seccomp.Program{Options: config.SeccompOptions(opt),
					RuleSets: []seccomp.RuleSet{{Rules: deny.Copy()}, {Rules: allow.Copy(), Action: seccomp.Allow}}}
			})
			if err != nil {
				return err
			}
			made.Programs[p.Name] = p
		}
	}
	return json.NewEncoder(w).Encode(made)
}
