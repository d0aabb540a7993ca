package homes

import (
	"maps"
	"slices"
	"strings"
)

// MarkName is the variable by which every process of a sandbox is known as one of its own.
const MarkName = "SANDTREE_SANDBOX"

// LoginPath is PATH of a fresh login.
const LoginPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Habits are the variables that a sandbox takes from the program that starts it: how people here write and count the hours. None of
// them can be a secret.
var Habits = []string{"LANG", "LC_ALL", "LC_CTYPE", "TZ"}

// Login is the environment of a fresh login, with those of the inherited variables that environ, as KEY=VALUE, has.
func Login(user, home string, environ, inherited []string) map[string]string {
	env := map[string]string{"PATH": LoginPath, "LANG": "C.UTF-8", "TERM": "xterm-256color", "SHELL": "/bin/bash",
		"USER": user, "LOGNAME": user, "HOME": home}
	for _, v := range environ {
		if name, value, ok := strings.Cut(v, "="); ok && value != "" && slices.Contains(inherited, name) {
			env[name] = value
		}
	}
	return env
}

// Environ is env as KEY=VALUE, sorted.
func Environ(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}
