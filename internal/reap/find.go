package reap

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// A Finder names processes that are to end. It leaves out this process, whatever else fits.
type Finder func() ([]Proc, error)

// Any finds what any of the finders does.
func Any(finders ...Finder) Finder {
	return func() ([]Proc, error) {
		var found []Proc
		seen := map[name]bool{}
		for _, f := range finders {
			procs, err := f()
			if err != nil {
				return nil, err
			}
			for _, p := range procs {
				if !seen[p.name()] {
					seen[p.name()] = true
					found = append(found, p)
				}
			}
		}
		return found, nil
	}
}

func matching(fits func(Proc) bool) ([]Proc, error) {
	all, err := List()
	found := all[:0]
	for _, p := range all {
		if p.PID != os.Getpid() && fits(p) {
			found = append(found, p)
		}
	}
	return found, err
}

// Marked finds the processes whose environment holds the variable with that value, as they were started: what a process
// changes later in its own memory does not show. Those of other users are not seen, except by root.
func Marked(name, value string) Finder {
	want := []byte(name + "=" + value)
	return func() ([]Proc, error) {
		return matching(func(p Proc) bool {
			env, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/environ")
			if err != nil {
				return false // ended, or not ours to read, so not ours to kill
			}
			for v := range bytes.SplitSeq(env, []byte{0}) {
				if bytes.Equal(v, want) {
					return true
				}
			}
			return false
		})
	}
}

// InSessions finds the processes of sessions by their leaders, as they were when the sessions began. A session whose
// number another process has meanwhile taken is left alone.
func InSessions(leaders []Proc) Finder {
	return func() ([]Proc, error) {
		sessions := map[int]uint64{}
		for _, l := range leaders {
			if now, err := Stat(l.PID); err != nil || now.Start == l.Start {
				sessions[l.PID] = l.Start
			}
		}
		if len(sessions) == 0 {
			return nil, nil
		}
		return matching(func(p Proc) bool {
			start, ok := sessions[p.SID]
			return ok && p.Start >= start
		})
	}
}

// Descendants finds the children of the process and theirs, to the last. It is the process that has the number now: once it is
// gone there are none, whoever has its number by then.
func Descendants(pid int) Finder {
	root, err := Stat(pid)
	if errors.Is(err, fs.ErrNotExist) {
		return func() ([]Proc, error) { return nil, nil }
	} else if err != nil {
		return func() ([]Proc, error) { return nil, err }
	}
	return func() ([]Proc, error) {
		all, err := list() // a dead process still stands between its children and us until it is reaped
		if err != nil {
			return nil, err
		}
		if now, err := Stat(pid); err != nil || now.Start != root.Start {
			return nil, nil
		}
		return slices.DeleteFunc(below(root, all), func(p Proc) bool { return p.dead || p.PID == os.Getpid() }), nil
	}
}

// below gives those of all that descend from root. Nobody is older than his parent, nor than whom he falls to when that ends:
// where one seems to be, the parent was another when he was looked at, whose number has been taken meanwhile.
func below(root Proc, all []Proc) []Proc {
	family := map[int]uint64{root.PID: root.Start} // start by number
	var found []Proc
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			start, ours := family[p.PPID]
			if _, known := family[p.PID]; ours && !known && p.Start >= start {
				family[p.PID], grown = p.Start, true
				found = append(found, p)
			}
		}
	}
	return found
}

// InCgroup finds the processes in the cgroup with that directory and in those below it, in either version of cgroups.
func InCgroup(dir string) Finder {
	return func() ([]Proc, error) {
		var found []Proc
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				if os.IsNotExist(err) {
					return nil // never made, or removed meanwhile: empty
				}
				return err
			}
			if d.Name() != "cgroup.procs" {
				return nil
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return nil // of a threaded group, whose processes its parent lists; or gone
			}
			for _, field := range bytes.Fields(b) {
				pid, err := strconv.Atoi(string(field))
				if err != nil || pid == os.Getpid() || pid == 0 {
					continue // 0: a process of another namespace
				}
				if p, err := Stat(pid); err == nil && !p.dead {
					found = append(found, p)
				}
			}
			return nil
		})
		return found, err
	}
}
