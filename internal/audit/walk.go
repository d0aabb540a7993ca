package audit

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

// What is looked at of a tree that strangers have made.
const (
	MaxFiles  = 50_000
	maxDepth  = 64
	maxWork   = 5 * time.Second // of which nothing is waiting
	maxTree   = 8 << 20         // bytes that are remembered of one
	perFile   = 64              // of these, for each file, besides its path
	maxTold   = 64 << 10        // bytes of the paths of one list of changes
	maxListed = 1024            // entries that are read of a directory at a time
)

// stamp is what a change of a file changes, mixed up: eight bytes of each file are remembered for it. What a stranger cannot guess
// of the mixing, nobody can make a change that does not show.
type stamp uint64

var seed = maphash.MakeSeed()

func stampOf(s *unix.Stat_t) stamp {
	if s.Mode&unix.S_IFMT == unix.S_IFDIR { // what has changed in a directory is told of itself
		return stamp(maphash.Comparable(seed, s.Mode))
	}
	return stamp(maphash.Comparable(seed, struct {
		mode            uint32
		size            int64
		written, rights unix.Timespec
	}{s.Mode, s.Size, s.Mtim, s.Ctim}))
}

// A Tree is what a directory had in it at a time.
type Tree struct {
	files map[string]stamp
	size  int64  // bytes, as they are counted
	looks *Looks // that count them
	// Lacks says why it is not all that there was, for people; "" if it is.
	Lacks string
}

// Len is how many files and directories there are.
func (t *Tree) Len() int { return len(t.files) }

func (t *Tree) whole() bool { return t.Lacks == "" }

// Release forgets it.
func (t *Tree) Release() {
	if t.looks != nil {
		t.looks.free(t.size)
	}
	t.files, t.size = nil, 0
}

// Look looks at what is in a directory, in turns with the other looks; it waits for them, and no longer than ctx lasts. Nothing in it
// is opened but directories, and no link is followed. Whoever has it releases it.
func (l *Looks) Look(ctx context.Context, dir string) (*Tree, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	d := os.NewFile(uintptr(fd), dir)
	k := look{Tree: &Tree{files: map[string]stamp{}, looks: l}, ctx: ctx}
	if err := k.begin(); err != nil {
		d.Close()
		return nil, err
	}
	k.in(d, "", 0)
	if k.err != nil { // of a turn that it did not get
		k.Release()
		return nil, k.err
	}
	k.end()
	return k.Tree, nil
}

type look struct {
	*Tree
	ctx   context.Context // of this one look
	began time.Time       // the turn
	work  time.Duration   // in turns before this one
	full  bool            // no more is looked at
	err   error           // of ctx
}

func (k *look) begin() error {
	err := k.looks.begin(k.ctx)
	k.began = time.Now()
	return err
}

func (k *look) end() {
	took := time.Since(k.began)
	k.work += took
	k.looks.end(took)
}

// step is called before each entry: it lets others have their turns, and says whether to go on.
func (k *look) step(size int64) bool {
	took := time.Since(k.began)
	switch {
	case k.full:
		return false
	case len(k.files) >= MaxFiles:
		return k.lack(fmt.Sprintf("there are more than %d files", MaxFiles))
	case k.work+took > maxWork:
		return k.lack("to look at the files takes too long")
	case k.size+size > maxTree:
		return k.lack("the paths of the files are too long")
	case !k.looks.take(k.size, size):
		return k.lack("the sandboxes of this controller have too many files together")
	}
	k.size += size
	if took > piece {
		k.end()
		k.err = k.begin()
		k.full = k.err != nil
	}
	return !k.full
}

// lack ends the look: there is more, and why it is not looked at.
func (k *look) lack(why string) (more bool) {
	k.Lacks, k.full = why, true
	return false
}

// in looks at a directory, which it closes.
func (k *look) in(d *os.File, path string, depth int) {
	defer d.Close()
	for {
		names, err := d.Readdirnames(maxListed)
		for _, name := range names {
			if !k.step(int64(len(path) + len(name) + perFile)) {
				return
			}
			k.at(int(d.Fd()), name, path+name, depth)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				k.Lacks = "a directory cannot be read"
			}
			return
		}
		if k.full {
			return
		}
	}
}

func (k *look) at(dir int, name, path string, depth int) {
	var s unix.Stat_t
	if unix.Fstatat(dir, name, &s, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return // gone since
	}
	k.files[path] = stampOf(&s)
	if s.Mode&unix.S_IFMT != unix.S_IFDIR {
		return
	}
	if depth+1 >= maxDepth {
		k.Lacks = fmt.Sprintf("there are directories more than %d deep", maxDepth)
		return
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	k.in(os.NewFile(uintptr(fd), name), path+"/", depth+1)
}

// Changes are how after differs from t, by path; most of them at most, and how many more there are. Of a tree that was not
// looked at wholly it is not said what was removed from it or, if that is t, added.
func (t *Tree) Changes(after *Tree, most int) (list []sandbox.FileChange, more int) {
	add := func(path string, c sandbox.FileChangeKind) {
		list = append(list, sandbox.FileChange{Path: path, Change: c})
	}
	for path, s := range after.files {
		if old, ok := t.files[path]; !ok && t.whole() {
			add(path, sandbox.FileAdded)
		} else if ok && old != s {
			add(path, sandbox.FileModified)
		}
	}
	if after.whole() {
		for path := range t.files {
			if _, ok := after.files[path]; !ok {
				add(path, sandbox.FileRemoved)
			}
		}
	}
	slices.SortFunc(list, func(a, b sandbox.FileChange) int { return strings.Compare(a.Path, b.Path) })
	bytes := 0
	for i, c := range list {
		if bytes += len(c.Path); bytes > maxTold {
			most = min(most, i)
			break
		}
	}
	if len(list) > most {
		list, more = list[:most], len(list)-most
	}
	return list, more
}
