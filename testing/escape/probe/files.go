package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

func open(path string, flags int) error {
	f, err := os.OpenFile(path, flags, 0)
	if err == nil {
		f.Close()
	}
	return err
}

// create makes a file and, if it could, removes it.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		f.Close()
		os.Remove(path)
	}
	return err
}

// files are those of the host and the parts of /proc and /sys that are.
var files = []probe{
	{"secrets of the host", func(h host) error { return any(h.Secrets, func(f string) error { return open(f, os.O_RDONLY) }) }},
	{"secrets through a link", func(h host) error {
		return any(h.Secrets, func(f string) error {
			defer os.Remove("link")
			if err := os.Symlink(f, "link"); err != nil {
				return err
			}
			return open("link", os.O_RDONLY)
		})
	}},
	{"secrets by a way up", func(h host) error {
		up := strings.Repeat("../", 40)
		return any(h.Secrets, func(f string) error { return open(up+f, os.O_RDONLY) })
	}},
	{"the password file", func(host) error { return open("/etc/shadow", os.O_RDONLY) }},
	{"a hard link to a program", func(host) error {
		defer os.Remove("hard")
		return any([]string{"/usr/bin/bash", "/bin/sh"}, func(f string) error { return os.Link(f, "hard") })
	}},
	{"a file handle", func(h host) error {
		handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, "/usr", 0)
		if err != nil {
			return err
		}
		_, err = unix.OpenByHandleAt(unix.AT_FDCWD, handle, unix.O_RDONLY)
		return err
	}},
	{"the descriptors that it was born with", func(host) error {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return err
		}
		for _, fd := range fds {
			to, err := os.Readlink("/proc/self/fd/" + fd.Name())
			if err != nil || len(fd.Name()) == 1 && fd.Name() <= "2" || strings.HasPrefix(to, "anon_inode:") || strings.HasPrefix(to, "/proc/") ||
				strings.HasPrefix(to, "/sys/fs/cgroup/cpu") {
				continue // Go's own, which looks how much CPU it may use, and the directory that is being read
			}
			if strings.HasPrefix(to, "/") {
				return nil
			}
		}
		return errors.New("none leads anywhere")
	}},
	{"directories that are not its own", func(h host) error {
		dirs := append([]string{"/", "/usr", "/usr/bin", "/etc", "/lib", "/boot", "/root", "/var/lib"}, h.Writable...)
		return any(dirs, func(d string) error { return create(filepath.Join(d, ".escape")) })
	}},
	{"a program of the host, to write", func(host) error { return open("/usr/bin/env", os.O_WRONLY) }},
	{"another owner for a file", func(host) error {
		if err := os.WriteFile("owned", nil, 0o600); err != nil {
			return err
		}
		defer os.Remove("owned")
		return os.Chown("owned", 54321, 54321)
	}},
	{"a mount of a tmpfs", func(host) error { return unix.Mount("tmpfs", os.TempDir(), "tmpfs", 0, "") }},
	{"a mount of /proc", func(host) error { return unix.Mount("proc", os.TempDir(), "proc", 0, "") }},
	{"a bind mount", func(host) error { return unix.Mount("/usr", os.TempDir(), "", unix.MS_BIND, "") }},
	{"the root mounted for writing", func(host) error { return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, "") }},
	{"the root made writable by mount_setattr", func(host) error {
		return unix.MountSetattr(unix.AT_FDCWD, "/usr", 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
	}},
	{"umount of what hides /proc/keys", func(host) error { return unix.Unmount("/proc/keys", unix.MNT_DETACH) }},
	{"fsopen", func(host) error { _, err := unix.Fsopen("tmpfs", 0); return err }},
	{"open_tree", func(host) error { _, err := unix.OpenTree(unix.AT_FDCWD, "/usr", unix.OPEN_TREE_CLONE); return err }},
	{"move_mount", func(host) error { return unix.MoveMount(unix.AT_FDCWD, "/tmp", unix.AT_FDCWD, "/run", 0) }},
	{"chroot", func(host) error { return unix.Chroot(os.TempDir()) }},
	{"pivot_root", func(host) error { return unix.PivotRoot("/tmp", "/tmp") }},
	{"what the kernel does with cores", func(host) error { return open("/proc/sys/kernel/core_pattern", os.O_WRONLY) }},
	{"what the kernel runs for modules", func(host) error { return open("/proc/sys/kernel/modprobe", os.O_WRONLY) }},
	{"the machine's files in /proc/sys", func(host) error {
		var all []string
		_ = filepath.WalkDir("/proc/sys", func(p string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				all = append(all, p)
			}
			return nil
		})
		for _, f := range all {
			if open(f, os.O_WRONLY) == nil {
				fmt.Fprintln(os.Stderr, f, "can be written")
				return nil
			}
		}
		return fmt.Errorf("none of %d can be written", len(all))
	}},
	{"the magic key", func(host) error { return open("/proc/sysrq-trigger", os.O_WRONLY) }},
	{"the kernel's memory", func(host) error {
		return any([]string{"/proc/kcore", "/dev/mem", "/dev/kmem", "/dev/port"}, content)
	}},
	{"addresses of the kernel", func(host) error { return content("/proc/kallsyms") }},
	{"keys of others", func(host) error { return content("/proc/keys") }},
	{"the kernel's log", func(host) error { return any([]string{"/dev/kmsg", "/proc/kmsg"}, content) }},
	{"files of /sys, to write", func(host) error {
		found := errNothing
		_ = filepath.WalkDir("/sys", func(p string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && open(p, os.O_WRONLY) == nil {
				fmt.Fprintln(os.Stderr, p, "can be written")
				found = nil
				return filepath.SkipAll
			}
			return nil
		})
		return found
	}},
	{"a larger limit in its control group", func(host) error {
		return any([]string{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"},
			func(f string) error { return os.WriteFile(f, []byte("-1"), 0) })
	}},
	{"another host name", func(host) error { return unix.Sethostname([]byte("escaped")) }},
}

// content fails if a file has nothing in it.
func content(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if n, err := f.Read(make([]byte, 1)); n == 0 {
		return errors.Join(errNothing, err)
	}
	return nil
}
