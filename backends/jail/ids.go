package jail

import (
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/sandbox"
)

// user is whom programs run as.
func (d *Driver) user() homes.Account { return homes.User(d.config.User) }

// adopted says whether what was a blank by that name has become a sandbox, whose label then has its mark.
func (d *Driver) adopted(name string) bool {
	mark, ok := strings.CutPrefix(name, blankPrefix)
	if !ok {
		return false
	}
	entries, _ := os.ReadDir(d.root)
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		l, err := d.home(sandbox.ID(e.Name())).read()
		return err == nil && l.Mark == mark
	})
}

// removeClaims gives back what a process claimed that ended before it could note it.
func (d *Driver) removeClaims() { d.homes.RemoveClaims(d.adopted) }
