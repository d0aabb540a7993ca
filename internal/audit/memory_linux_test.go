package audit

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

// ownMemory is the memory of this process, which is as good as that of another.
func ownMemory() memory { return memory(os.Getpid()) }

func address(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(&b[0]))) }

func TestText(t *testing.T) {
	m := ownMemory()
	for _, c := range []struct {
		text string
		most int
		want string
		cut  bool
	}{
		{"", 10, "", false}, {"short", 100, "short", false}, {"short", 3, "sho", true},
		{strings.Repeat("x", 300), 1024, strings.Repeat("x", 300), false}, {strings.Repeat("x", 3000), 1024, strings.Repeat("x", 1024), true},
	} {
		b := append([]byte(c.text), 0)
		if got, cut := m.text(address(b), c.most); got != c.want || cut != c.cut {
			t.Errorf("%d bytes, at most %d: read are %d, cut %v", len(c.text), c.most, len(got), cut)
		}
		runtime.KeepAlive(b)
	}
	for _, nowhere := range []uint64{1, 1 << 63, ^uint64(0), ^uint64(0) - 4095} {
		if got, cut := m.text(nowhere, 1024); got != "" || !cut {
			t.Errorf("at %x there is %q, cut %v", nowhere, got, cut)
		}
		if list, _ := m.texts(nowhere); len(list) > 0 {
			t.Errorf("at %x there are %q", nowhere, list)
		}
	}
}

// A text that ends where memory ends is read to its end.
func TestTextAtTheEnd(t *testing.T) {
	page := os.Getpagesize()
	b, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(b)
	if err := unix.Mprotect(b[page:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	copy(b[page-4:], "end\x00")
	if s, cut := ownMemory().text(address(b)+uint64(page)-4, 1024); s != "end" || cut {
		t.Errorf("read is %q, cut %v", s, cut)
	}
	copy(b[page-4:], "last")
	if s, cut := ownMemory().text(address(b)+uint64(page)-4, 1024); s != "last" || !cut {
		t.Errorf("read is %q, cut %v", s, cut)
	}
}

func TestDescribe(t *testing.T) {
	path, to := []byte("a/../b\x00"), []byte("/c\x00")
	n := &notice{PID: uint32(os.Getpid()), Args: [6]uint64{address(path), unix.O_RDWR, address(to), 7}}
	r := describe(n, Call{Name: "x", Kind: sandbox.AuditFile, Form: "potn", Errno: int(unix.EPERM)})
	dir, _ := os.Getwd()
	if r.Path != dir+"/b" || r.To != "/c" || !r.Write || r.Denied != "EPERM" || len(r.Numbers) != 1 || r.Numbers[0] != 7 {
		t.Errorf("described as %+v", r)
	}
	runtime.KeepAlive(path)
	runtime.KeepAlive(to)
	if r := describe(n, Call{Form: strings.Repeat("n", 20)}); len(r.Numbers) != 6 {
		t.Errorf("of a form that is too long there are %v", r.Numbers)
	}
}
