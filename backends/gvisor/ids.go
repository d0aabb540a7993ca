package gvisor

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is a user of the sandbox, whose group has the same number.
type account struct {
	name string
	id   int
	home string
}

var (
	ordinary  = account{"sandbox", 1000, "/home/sandbox"}
	superuser = account{"root", 0, "/root"}
)

// user is whom programs run as.
func (d *Driver) user() account {
	if d.config.User == superuser.name {
		return superuser
	}
	return ordinary
}

// The host's user numbers that sandboxes get: nobody else's. Above what systemd gives to containers and
// below 2^31, from where on programs take numbers for negative. See systemd's "Users, Groups, UIDs and GIDs".
const (
	firstID   = 0x70000000
	lastID    = 0x7fffffff
	idsOfEach = 4096 // enough for the users of a distribution
	nobody    = 65534
)

// mappings say which numbers of the host those in the sandbox are.
func (l label) mappings() []syscall.SysProcIDMap {
	if l.FirstID == 0 {
		return nil
	}
	first := int(l.FirstID)
	return []syscall.SysProcIDMap{
		{ContainerID: 0, HostID: first, Size: idsOfEach - 1},
		{ContainerID: nobody, HostID: first + idsOfEach - 1, Size: 1},
	}
}

// own maps a single number.
func own(inside, outside int) []syscall.SysProcIDMap {
	return []syscall.SysProcIDMap{{ContainerID: inside, HostID: outside, Size: 1}}
}

// claims is the directory with a file for each range of numbers that a sandbox has, so that no two have the same.
func (d *Driver) claims() string { return filepath.Join(d.root, ".ids") }

func (d *Driver) claimFile(first uint32) string {
	return filepath.Join(d.claims(), strconv.FormatUint(uint64(first), 10))
}

// claim gives a new sandbox numbers of its own.
func (d *Driver) claim(l *label) error {
	if l.FirstID != 0 {
		return nil
	}
	if err := os.Mkdir(d.claims(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	const ranges, attempts = (lastID - firstID + 1) / idsOfEach, 64
	for range attempts {
		first := uint32(firstID + rand.IntN(ranges)*idsOfEach)
		// A link to the name of the home, which tells whose it is: made in one step, or not at all.
		err := os.Symlink(string(l.ID), d.claimFile(first))
		if err == nil {
			l.FirstID = first
			return nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("claim user numbers: %w", err)
		}
	}
	return fmt.Errorf("no range of user numbers is free among %d tried of %d: %w", attempts, ranges, syscall.EAGAIN)
}

// disclaim gives them back.
func (d *Driver) disclaim(l label) error {
	if l.FirstID == 0 {
		return nil
	}
	if err := os.Remove(d.claimFile(l.FirstID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeClaims gives back what a process claimed that ended before it could note it.
func (d *Driver) removeClaims() {
	entries, _ := os.ReadDir(d.claims())
	for _, e := range entries {
		file := filepath.Join(d.claims(), e.Name())
		id, err := os.Readlink(file)
		if err != nil {
			continue
		}
		if _, err := os.Lstat(filepath.Join(d.root, id)); errors.Is(err, fs.ErrNotExist) { // its home comes first
			_ = os.Remove(file)
		}
	}
}
