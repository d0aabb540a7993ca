package gvisor

import (
	"maps"
	"slices"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// markName is the variable by which every process of a sandbox is known as one of its own.
const markName = "SANDTREE_SANDBOX"

// inherited are the variables that a sandbox takes from the program that starts it: how people here write and count the
// hours. None of them can be a secret. PATH is not among them: most of what is on it is not in the sandbox.
var inherited = []string{"LANG", "LC_ALL", "LC_CTYPE", "TZ"}

const loginPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// base is the environment of sandboxd itself, and what that of the programs begins with.
func (d *Driver) base(mark string) map[string]string {
	u := d.user()
	env := map[string]string{"PATH": loginPath, "LANG": "C.UTF-8", "TERM": "xterm-256color", "SHELL": "/bin/bash",
		"USER": u.name, "LOGNAME": u.name, "HOME": u.home}
	for _, v := range d.config.Environ {
		if name, value, ok := strings.Cut(v, "="); ok && value != "" && slices.Contains(inherited, name) {
			env[name] = value
		}
	}
	env[markName] = mark
	return env
}

// programs is the environment of the programs in a sandbox. The mark cannot be taken away by it.
func (d *Driver) programs(spec sandbox.Spec, mark string) []string {
	env := d.base(mark)
	maps.Copy(env, spec.Env)
	env[markName] = mark
	return environ(env)
}

func environ(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}
