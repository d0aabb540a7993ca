package local

import (
	"maps"
	"os/user"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// inherited are the variables that a sandbox takes from the program that starts it: where programs are besides, as it is the same
// machine.
var inherited = append([]string{"PATH"}, homes.Habits...)

// base is the environment of sandboxd itself, and what that of the programs begins with.
func (d *Driver) base(h home, mark string) map[string]string {
	dir := d.config.Home
	if dir == "" {
		dir = h.HomeDir()
	}
	name := ""
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	env := homes.Login(name, dir, d.config.Environ, inherited)
	env[homes.MarkName] = mark
	return env
}

// programs is the environment of the programs in a sandbox. The mark cannot be taken away by it.
func (d *Driver) programs(h home, spec sandbox.Spec, mark string) []string {
	env := d.base(h, mark)
	maps.Copy(env, spec.Env)
	env[homes.MarkName] = mark
	return homes.Environ(env)
}
