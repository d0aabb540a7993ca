package files

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

// coarse is a store on a file system whose clock stands still between ticks, where one can be had.
func coarse(t *testing.T) (*Store, string) {
	s, dir := open(t)
	if os.Geteuid() == 0 {
		if err := syscall.Mount("ramfs", dir, "ramfs", 0, ""); err != nil {
			t.Logf("mount ramfs: %v", err)
			return s, dir
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Errorf("unmount: %v", err)
			}
		})
	}
	return s, dir
}

// However quickly writes of one size follow each other, each gives the file an entity tag that it never had.
func TestEveryWriteHasItsETag(t *testing.T) {
	s, dir := coarse(t)
	must := func(_ sandbox.Observation, err error) error { return err }
	for name, write := range map[string]func(path, content string) error{
		"Put":     func(p, c string) error { return put(s, p, strings.NewReader(c), 0) },
		"WriteAt": func(p, c string) error { _, err := s.WriteAt(p, strings.NewReader(c), 0, PutOptions{}); return err },
		"Write":   func(p, c string) error { return must(s.Write(dir, sandbox.WriteArgs{Path: p, Content: c, End: -1})) },
		"Write to a hard link": func(p, c string) error {
			return must(s.Write(dir, sandbox.WriteArgs{Path: p, Content: c, End: -1}))
		},
		"Put, with its mode": func(p, c string) error { return put(s, p, strings.NewReader(c), 0o640) },
	} {
		t.Run(name, func(t *testing.T) {
			p := dir + "/" + name
			plant(t, dir, name, "0000\n")
			if strings.Contains(name, "link") {
				if err := os.Link(p, p+"2"); err != nil {
					t.Fatal(err)
				}
			}
			had := map[string]int{}
			for i := range 500 {
				if err := write(p, fmt.Sprintf("%04d", i)); err != nil {
					t.Fatal(err)
				}
				e, err := s.Stat(p, true)
				if before, again := had[e.ETag]; err != nil || again {
					t.Fatalf("write %d has the tag of write %d, %s, %v", i, before, e.ETag, err)
				}
				had[e.ETag] = i
			}
		})
	}
}

// Of two writes at once the one that ends first has a tag that is no longer the file's.
func TestTwoWritesAtOnceHaveTwoETags(t *testing.T) {
	s, _ := coarse(t)
	tags := [2]string{}
	for round := range 200 {
		var wg sync.WaitGroup
		for i := range tags {
			wg.Go(func() {
				var err error
				if tags[i], err = s.WriteAt("f", strings.NewReader(fmt.Sprint(i)), 0, PutOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if tags[0] == tags[1] {
			now, _ := get(s, "f")
			t.Fatalf("round %d: both are %s, and the file has %q", round, tags[0], now)
		}
	}
}
