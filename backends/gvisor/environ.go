package gvisor

import (
	"maps"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// user is whom programs run as.
func (d *Driver) user() homes.Account { return homes.User(d.config.User) }

// base is the environment of sandboxd itself, and what that of the programs begins with. Most of what is on this program's PATH
// is not in the sandbox.
func (d *Driver) base(mark string) map[string]string {
	u := d.user()
	env := homes.Login(u.Name, u.Home, d.config.Environ, homes.Habits)
	env[homes.MarkName] = mark
	return env
}

// programs is the environment of the programs in a sandbox. The mark cannot be taken away by it.
func (d *Driver) programs(spec sandbox.Spec, mark string) []string {
	env := d.base(mark)
	maps.Copy(env, spec.Env)
	env[homes.MarkName] = mark
	return homes.Environ(env)
}
