package stage

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

// A Spec arrives with its descriptors, however large it is.
func TestSend(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 300_000} {
		ours, theirs, err := Pair()
		if err != nil {
			t.Fatal(err)
		}
		shown, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		want := Spec{Filter: make([]byte, size), Mounts: []Mount{{Kind: Proc, Target: "/proc"}, {FD: 1, Target: "/one"}}}
		sent := make(chan error, 1)
		go func() { sent <- errors.Join(want.Send(ours, []*os.File{shown}), ours.Close(), shown.Close()) }()
		b, fds, err := receive(int(theirs.Fd()))
		if err := errors.Join(err, <-sent, theirs.Close()); err != nil || len(fds) != 1 {
			t.Fatalf("%d bytes, descriptors %v, %v", len(b), fds, err)
		}
		if flags, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("programs would inherit it: %v", err)
		}
		room := make([]byte, 2)
		if n, err := unix.Read(fds[0], room); n != 1 || err != nil {
			t.Errorf("read %d bytes of the file, %v", n, err)
		}
		unix.Close(fds[0])
		if len(b) < size {
			t.Errorf("%d bytes came", len(b))
		}
	}
}

// Nobody is left who wants the jail, on either side.
func TestSendToNobody(t *testing.T) {
	ours, theirs, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if err := (&Spec{}).Send(ours, nil); !errors.Is(err, unix.EPIPE) {
		t.Errorf("Send: %v", err)
	}
	ours.Close()
	if ours, theirs, err = Pair(); err != nil {
		t.Fatal(err)
	}
	ours.Close()
	if b, fds, err := receive(int(theirs.Fd())); err != nil || len(b) > 0 || len(fds) > 0 {
		t.Errorf("received %q, %v, %v", b, fds, err)
	}
	theirs.Close()
}

func TestNumber(t *testing.T) {
	s := Spec{Root: &Mount{FD: 2}, Mounts: []Mount{{}, {FD: 1}}}
	if err := s.number([]int{11, 12}); err != nil {
		t.Fatal(err)
	}
	if want := (Spec{Root: &Mount{FD: 12}, Mounts: []Mount{{}, {FD: 11}}}); !reflect.DeepEqual(s, want) {
		t.Errorf("they are %+v", s)
	}
	for _, fd := range []int{-1, 1} {
		if err := (&Spec{Mounts: []Mount{{FD: fd}}}).number(nil); err == nil {
			t.Errorf("%d passes", fd)
		}
	}
}
