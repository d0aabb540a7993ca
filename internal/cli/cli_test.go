package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

func TestExitStatus(t *testing.T) {
	seen := map[int]sandbox.Code{}
	for _, code := range sandbox.Codes {
		s := ExitStatus(fmt.Errorf("outer: %w", &sandbox.Error{Code: code, Op: "op"}))
		if s == 0 || seen[s] != "" {
			t.Errorf("%s has status %d, as %q has", code, s, seen[s])
		}
		seen[s] = code
	}
	if ExitStatus(nil) != 0 || ExitStatus(errors.New("x")) != 1 {
		t.Error("nil is 0 and any other error 1")
	}
}

func TestErrorsBecomeStatuses(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		prints string
	}{
		{nil, 0, ""},
		{flag.ErrHelp, 0, ""},
		{Status(42), 42, ""},
		{errors.New("no luck"), 1, "prog: no luck\n"},
		{&sandbox.Error{Code: sandbox.Invalid, Op: "flag"}, 2, "prog: flag (invalid)\n"},
	} {
		var stderr bytes.Buffer
		got := runWith("prog", func(context.Context, Call) error { return c.err }, Call{Stderr: &stderr})
		if got != c.status || stderr.String() != c.prints {
			t.Errorf("%v: status %d, %q; want %d, %q", c.err, got, stderr.String(), c.status, c.prints)
		}
	}
}

func TestAFurtherSignalEndsTheContextToo(t *testing.T) {
	got := runWith("prog", func(ctx context.Context, _ Call) error {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGQUIT); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		return ctx.Err()
	}, Call{}, syscall.SIGQUIT)
	if got != 128+3 {
		t.Errorf("status %d, want 131", got)
	}
}

func TestASignalEndsTheContext(t *testing.T) {
	var stderr bytes.Buffer
	got := runWith("prog", func(ctx context.Context, _ Call) error {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		return ctx.Err()
	}, Call{Stderr: &stderr})
	if got != 128+15 || stderr.Len() > 0 {
		t.Errorf("status %d, %q; want 143 and silence", got, stderr.String())
	}
}

func TestACleanStopIsStatusZero(t *testing.T) {
	got := runWith("prog", func(ctx context.Context, _ Call) error {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		return nil
	}, Call{})
	if got != 0 {
		t.Errorf("status %d, want 0", got)
	}
}

func TestInterruptsCanBeTaken(t *testing.T) {
	got := runWith("prog", func(ctx context.Context, c Call) error {
		interrupts := c.Interrupts()
		for range 3 { // each is taken, and none ends the program
			if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
				t.Error(err)
			}
			select {
			case <-interrupts:
			case <-ctx.Done():
				t.Error("an interrupt has ended the context")
			}
		}
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		return ctx.Err()
	}, Call{})
	if got != 128+15 {
		t.Errorf("status %d, want 143", got)
	}
	if (Call{}).Interrupts() != nil {
		t.Error("a call that nobody made has interrupts")
	}
}

// timeout(1) sends its signal twice, to the process and to its group: that is one wish.
func TestAnEchoIsNoSecondSignal(t *testing.T) {
	began := time.Now()
	s := stop{syscall.SIGTERM, began}
	for _, c := range []struct {
		next  syscall.Signal
		after time.Duration
		want  bool
	}{
		{syscall.SIGTERM, time.Millisecond, false}, {syscall.SIGTERM, time.Second, true}, {syscall.SIGINT, time.Millisecond, true},
	} {
		if got := s.means(c.next, began.Add(c.after)); got != c.want {
			t.Errorf("%v after %v: %v", c.next, c.after, got)
		}
	}
}
