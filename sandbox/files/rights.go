package files

import (
	"io/fs"
	"slices"
	"syscall"
)

// Rights to a file, as one class of its permissions has them.
const (
	mayRead   fs.FileMode = 4
	maySearch fs.FileMode = 1 // what is in a directory
)

// allows says whether the permissions of a file give a user all of these rights, as they would to a program of his. Access
// control lists are not looked at: where one takes rights away, the group's permissions are its mask, which is no less
// strict; what it gives to single users is not seen. nil is the server's own user, whom the system itself refuses.
func allows(user *syscall.Credential, fi fs.FileInfo, rights fs.FileMode) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if user == nil || user.Uid == 0 || !ok {
		return true
	}
	mode := fi.Mode().Perm()
	switch {
	case st.Uid == user.Uid:
		mode >>= 6
	case st.Gid == user.Gid || slices.Contains(user.Groups, st.Gid):
		mode >>= 3
	}
	return mode&rights == rights
}
