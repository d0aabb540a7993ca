package homes

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

// Account is a user of a confined sandbox, whose group has the same number.
type Account struct {
	Name string
	ID   int
	Home string
}

// The users whom programs can run as.
var (
	Ordinary  = Account{"sandbox", 1000, "/home/sandbox"}
	Superuser = Account{"root", 0, "/root"}
)

// User gives the one of a name, "" included.
func User(name string) Account {
	if name == Superuser.Name {
		return Superuser
	}
	return Ordinary
}

// Accounts are the files of users and groups of a sandbox that shows the host's programs: those that are there, and nobody else.
func Accounts() (passwd, group string) {
	for _, a := range []Account{Superuser, Ordinary} {
		passwd += fmt.Sprintf("%s:x:%d:%d::%s:/bin/bash\n", a.Name, a.ID, a.ID, a.Home)
		group += fmt.Sprintf("%s:x:%d:\n", a.Name, a.ID)
	}
	passwd += fmt.Sprintf("nobody:x:%d:%d::/nonexistent:/usr/sbin/nologin\n", nobody, nobody)
	group += fmt.Sprintf("tty:x:5:\nnogroup:x:%d:\n", nobody)
	return passwd, group
}

// The host's user numbers that sandboxes get when root makes them: nobody else's. Above what systemd gives to containers and
// below 2^31, from where on programs take numbers for negative. See systemd's "Users, Groups, UIDs and GIDs".
const (
	FirstID   = 0x70000000
	lastID    = 0x7fffffff
	IDsOfEach = 4096 // enough for the users of a distribution
	nobody    = 65534
)

// Mappings say which numbers of the host those in the sandbox are; nil if it has none of its own.
func (l *Label) Mappings() []syscall.SysProcIDMap {
	if l.FirstID == 0 {
		return nil
	}
	first := int(l.FirstID)
	return []syscall.SysProcIDMap{
		{ContainerID: 0, HostID: first, Size: IDsOfEach - 1},
		{ContainerID: nobody, HostID: first + IDsOfEach - 1, Size: 1},
	}
}

// MapOne maps a single number.
func MapOne(inside, outside int) []syscall.SysProcIDMap {
	return []syscall.SysProcIDMap{{ContainerID: inside, HostID: outside, Size: 1}}
}

// claims is the directory with a file for each range of numbers that a sandbox has, so that no two have the same.
func (e *Homes[L]) claims() string { return filepath.Join(e.dir, ".ids") }

func (e *Homes[L]) claimFile(first uint32) string {
	return filepath.Join(e.claims(), strconv.FormatUint(uint64(first), 10))
}

// Claim gives a new sandbox numbers of its own. Only root can: of an ordinary user's it has that one's.
func (e *Homes[L]) Claim(l *Label) error {
	if os.Geteuid() != 0 || l.FirstID != 0 {
		return nil
	}
	if err := os.Mkdir(e.claims(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	const ranges, attempts = (lastID - FirstID + 1) / IDsOfEach, 64
	for range attempts {
		first := uint32(FirstID + rand.IntN(ranges)*IDsOfEach)
		// A link to the name of the home, which tells whose it is: made in one step, or not at all.
		err := os.Symlink(string(l.ID), e.claimFile(first))
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
func (e *Homes[L]) disclaim(l *Label) error {
	if l.FirstID == 0 {
		return nil
	}
	if err := os.Remove(e.claimFile(l.FirstID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// RemoveClaims gives back what a process claimed that ended before it could note it: of whom there is no home. elsewhere, if it is not
// nil, says whether what had a home of that name has one of another.
func (e *Homes[L]) RemoveClaims(elsewhere func(name string) bool) {
	entries, _ := os.ReadDir(e.claims())
	for _, entry := range entries {
		file := filepath.Join(e.claims(), entry.Name())
		name, err := os.Readlink(file)
		if err != nil {
			continue
		}
		_, err = os.Lstat(filepath.Join(e.dir, name)) // the home comes first
		if errors.Is(err, fs.ErrNotExist) && (elsewhere == nil || !elsewhere(name)) {
			_ = os.Remove(file)
		}
	}
}
