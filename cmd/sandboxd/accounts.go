package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// accounts are the files of users and groups in a directory, /etc. They are read and written here, since a sandbox's
// image may have neither useradd nor adduser, and since nobody else writes them while a sandbox starts.
type accounts struct{ dir string }

// isUserName says whether a user may have this name: what useradd allows.
func isUserName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// rows reads a file of lines with fields between colons. A file that is not there is empty.
func (a accounts) rows(file string) ([][]string, error) {
	b, err := os.ReadFile(filepath.Join(a.dir, file))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var rows [][]string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			rows = append(rows, strings.Split(line, ":"))
		}
	}
	return rows, err
}

// users gives all users, with the groups that they are in.
func (a accounts) users() ([]user, error) {
	rows, err := a.rows("passwd")
	if err != nil {
		return nil, err
	}
	groups, err := a.rows("group")
	if err != nil {
		return nil, err
	}
	var all []user
	for _, r := range rows {
		if len(r) < 7 {
			continue
		}
		uid, err := strconv.Atoi(r[2])
		gid, err2 := strconv.Atoi(r[3])
		if err != nil || err2 != nil {
			continue
		}
		u := user{name: r[0], uid: uid, gid: gid, home: r[5]}
		for _, g := range groups {
			if len(g) >= 4 && slices.Contains(strings.Split(g[3], ","), u.name) {
				if n, err := strconv.Atoi(g[2]); err == nil {
					u.groups = append(u.groups, n)
				}
			}
		}
		all = append(all, u)
	}
	return all, nil
}

// group gives the number of a group by its name or number.
func (a accounts) group(nameOrID string) (int, error) {
	if n, err := strconv.Atoi(nameOrID); err == nil {
		return n, nil
	}
	rows, err := a.rows("group")
	if err != nil {
		return 0, err
	}
	for _, r := range rows {
		if len(r) >= 3 && r[0] == nameOrID {
			return strconv.Atoi(r[2])
		}
	}
	return 0, fmt.Errorf("no group is called %q", nameOrID)
}

const sudoers = "%sudo ALL=(ALL) NOPASSWD:ALL\n"

// add makes a user without a password, in group root and, where there is one, in group sudo, whose members may then do
// everything; with a home in /home.
func (a accounts) add(name string, uid int) error {
	if _, err := os.Stat(filepath.Join(a.dir, "sudoers")); err == nil {
		if err := a.appendTo("sudoers", sudoers, 0o440); err != nil {
			return err
		}
	}
	home := filepath.Join("/home", name)
	if err := a.appendTo("passwd", fmt.Sprintf("%s:x:%d:0::%s:/bin/bash\n", name, uid, home), 0o644); err != nil {
		return err
	}
	if err := a.appendTo("shadow", name+":!::0:99999:7:::\n", 0o640); err != nil {
		return err
	}
	if err := a.join(name, "sudo"); err != nil {
		return err
	}
	home = filepath.Join(filepath.Dir(a.dir), home)
	if _, err := os.Stat(home); err == nil {
		return nil // it is somebody's
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	if skel := filepath.Join(a.dir, "skel"); isDir(skel) {
		if err := os.CopyFS(home, os.DirFS(skel)); err != nil {
			return err
		}
	}
	return filepath.WalkDir(home, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, 0)
	})
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// appendTo adds a line to a file unless it is there.
func (a accounts) appendTo(file, line string, mode fs.FileMode) error {
	path := filepath.Join(a.dir, file)
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if strings.Contains("\n"+string(b), "\n"+line) {
		return nil
	}
	if len(b) > 0 && b[len(b)-1] != '\n' {
		line = "\n" + line
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}

// join puts a user into a group, if there is such a group.
func (a accounts) join(name, group string) error {
	path := filepath.Join(a.dir, "group")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := strings.SplitAfter(string(b), "\n")
	for i, line := range lines {
		r := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(r) < 4 || r[0] != group || slices.Contains(strings.Split(r[3], ","), name) {
			continue
		}
		if r[3] != "" {
			r[3] += ","
		}
		r[3] += name
		lines[i] = strings.Join(r, ":") + "\n"
		return os.WriteFile(path, []byte(strings.Join(lines, "")), 0o644)
	}
	return nil
}
