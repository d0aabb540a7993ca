package main

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"syscall"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
)

// as makes programs run as the user of --username. Only root can do that, and only another user than root is worth it;
// otherwise programs run as the server does. The user, its home and its right to sudo are made if missing, as
// OpenHands' launchers expect; a user that exists keeps its number.
func (f *flags) as(c *server.Config, environ []string, log *slog.Logger) error {
	if f.username == "" || f.username == "root" || os.Geteuid() != 0 {
		return nil
	}
	if f.username == variable(environ, "USER") && f.username != "openhands" {
		return nil // it says that this is already so
	}
	if v := variable(environ, "SU_TO_USER"); v != "" && !truthy(v) {
		return nil
	}
	u, err := accounts{"/etc"}.ensure(f.username, f.userID)
	if err != nil {
		return err
	}
	if u.uid != f.userID && f.set.Changed("user-id") {
		log.Warn("the user exists with another number, which is kept", "user", u.name, "uid", u.uid, "wanted", f.userID)
	}
	groups := make([]uint32, len(u.groups))
	for i, g := range u.groups {
		groups[i] = uint32(g)
	}
	c.User = &syscall.Credential{Uid: uint32(u.uid), Gid: uint32(u.gid), Groups: groups}
	c.Env = overlay(c.Env, []string{"HOME=" + u.home, "USER=" + u.name, "LOGNAME=" + u.name, "SHELL=/bin/bash"})
	giveWorkspace(c.Dir, u, variable(environ, "SANDBOX_GROUP_ID"), log)
	return nil
}

// giveWorkspace makes the working directory and gives all that is in it to u. What cannot be given stays whose it is.
func giveWorkspace(dir string, u user, group string, log *slog.Logger) {
	before := syscall.Umask(0o002)
	err := os.MkdirAll(dir, 0o777)
	syscall.Umask(before)
	if err != nil {
		log.Warn("making the working directory", "err", err) // the server will say so again and end
		return
	}
	gid := 0
	if group != "" {
		if gid, err = (accounts{"/etc"}).group(group); err != nil {
			log.Warn("SANDBOX_GROUP_ID", "err", err)
		}
	}
	// What an earlier server has left may still run as u, and put a link to /etc where a directory was: a root is not led
	// out of.
	root, err := os.OpenRoot(dir)
	if err != nil {
		log.Warn("opening the working directory", "err", err)
		return
	}
	defer root.Close()
	failed := 0
	_ = fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || root.Lchown(path, u.uid, gid) != nil {
			failed++
		}
		return nil
	})
	if info, err := root.Stat("."); err != nil || root.Chmod(".", info.Mode().Perm()|0o060) != nil {
		failed++
	}
	if failed > 0 {
		log.Warn("some of the working directory could not be given to the user", "user", u.name, "files", failed)
	}
}

// user is one of the accounts.
type user struct {
	name     string
	uid, gid int
	home     string
	groups   []int
}

func accountError(code sandbox.Code, name string, err error) error {
	return &sandbox.Error{Code: code, Op: "--username " + name, Err: err}
}

// ensure gives the user of that name, made with number uid if there is none.
// Codes: Invalid, Conflict (another user has the number), Internal.
func (a accounts) ensure(name string, uid int) (user, error) {
	if !isUserName(name) || uid <= 0 {
		return user{}, accountError(sandbox.Invalid, name, fmt.Errorf("%q with number %d can be no user", name, uid))
	}
	all, err := a.users()
	if err != nil {
		return user{}, accountError(sandbox.Internal, name, err)
	}
	byName := func(u user) bool { return u.name == name }
	if slices.IndexFunc(all, byName) < 0 {
		if i := slices.IndexFunc(all, func(u user) bool { return u.uid == uid }); i >= 0 {
			return user{}, accountError(sandbox.Conflict, name, fmt.Errorf("the number %d is that of %s", uid, all[i].name))
		}
		if err := a.add(name, uid); err != nil {
			return user{}, accountError(sandbox.Internal, name, err)
		}
		if all, err = a.users(); err != nil {
			return user{}, accountError(sandbox.Internal, name, err)
		}
	}
	i := slices.IndexFunc(all, byName)
	if i < 0 {
		return user{}, accountError(sandbox.Internal, name, fmt.Errorf("it was made and is not there"))
	}
	return all[i], nil
}
