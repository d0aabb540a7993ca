package jail

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// markName is the variable by which every process of a sandbox is known as one of its own.
const markName = "SANDTREE_SANDBOX"

// inherited are the variables that a sandbox takes from the program that starts it: how people here write and count the
// hours. None of them can be a secret. PATH is not among them: most of what is on it is not in the jail.
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
	maps.DeleteFunc(env, func(name, _ string) bool { return strings.HasPrefix(name, toldPrefix) })
	env[markName] = mark
	return environ(env)
}

// toldPrefix begins the names of what the server is told besides, and programs never get.
const toldPrefix = "SANDBOXD_"

// whose is what the server of a sandbox is told that another in the same jail would not be.
func whose(spec sandbox.Spec) []string {
	list := []string{toldPrefix + "OWNER=" + spec.Owner, toldPrefix + "EPOCH=" + strconv.FormatUint(spec.Epoch, 10)}
	if spec.OrphanAfter != 0 {
		list = append(list, toldPrefix+"ORPHAN_AFTER="+spec.OrphanAfter.String())
	}
	return list
}

func environ(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}
