package jail

import (
	"maps"
	"strconv"
	"strings"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// base is the environment of sandboxd itself, and what that of the programs begins with. Most of what is on this program's PATH is
// not in the jail.
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
	maps.DeleteFunc(env, func(name, _ string) bool { return strings.HasPrefix(name, toldPrefix) })
	env[homes.MarkName] = mark
	return homes.Environ(env)
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
