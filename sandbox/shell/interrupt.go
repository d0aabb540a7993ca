package shell

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// interrupt does what ^C does, whatever the terminal's modes are. It gives whom the signal went to, none if nobody.
func (b *bash) interrupt() target {
	to := b.aim()
	if !b.executing() || to.group <= 0 {
		return target{}
	}
	_ = unix.Kill(-to.group, unix.SIGINT)
	_ = unix.Kill(b.pid, unix.SIGCONT) // it may have stopped itself
	b.again()
	return to
}

// A target is the process group that an interrupt goes to; 0 is none.
type target struct {
	group  int
	unborn bool // its leader is a child of bash that may not have become a program yet
}

// aim is the target of an interrupt that comes now.
func (b *bash) aim() target {
	group := b.foreground()
	return target{group: group, unborn: group != b.pid && b.unborn(group)}
}

// persist sends an interrupt that was lost again, as a person would press the key again. It is lost if the group that it
// went to was just being made: a child of bash has bash's handlers until it becomes a program. With next, it is sent again
// too while the command goes on though the group has ended. A group that ends just then takes the signal with it, and
// bash, which goes on to the next of many small programs, never hears of it; or bash hears of it while it waits for a
// program that does not, and so takes it for handled.
func (b *bash) persist(to target, next bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if to.group <= 0 || b.closed || b.persisting == b.number || !b.waiting {
		return
	}
	number := b.number
	b.persisting = number
	b.wg.Go(func() {
		defer func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.persisting == number {
				b.persisting = 0
			}
		}()
		for range persistence {
			timer := time.NewTimer(persistAfter)
			select {
			case <-timer.C:
			case <-b.gone:
				timer.Stop()
			}
			b.mu.Lock()
			over := !b.waiting || b.dead || b.leave || b.number != number
			b.mu.Unlock()
			switch {
			case over:
				return
			case to.group != b.pid && unix.Kill(-to.group, 0) == nil:
				switch {
				case !to.unborn: // who got it lives, and does with it what he likes
					return
				case b.unborn(to.group):
					continue
				case !unhurt(to.group):
					return
				}
			case !next:
				return
			}
			if to = b.interrupt(); to.group == 0 {
				return
			}
		}
	})
}

// unborn says whether a child of bash may not have become a program yet: it still is bash, with a handler.
func (b *bash) unborn(pid int) bool {
	ours, err := os.Readlink("/proc/" + strconv.Itoa(b.pid) + "/exe")
	if err != nil {
		return false
	}
	its, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	return err == nil && its == ours && !unhurt(pid)
}

// unhurt says whether a process is alive that an interrupt would have ended: it neither catches nor ignores nor blocks it.
func unhurt(pid int) bool {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		switch name {
		case "State":
			if strings.HasPrefix(value, "Z") || strings.HasPrefix(value, "X") {
				return false
			}
		case "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt":
			set, err := strconv.ParseUint(value, 16, 64)
			if err != nil || set&(1<<(unix.SIGINT-1)) != 0 {
				return false
			}
		}
	}
	return true
}

const (
	persistAfter = 30 * time.Millisecond // by then what was interrupted has ended
	persistence  = 20
)

// signal sends a signal to what runs in the foreground.
func (b *bash) signal(s unix.Signal) {
	if group := b.foreground(); b.executing() && group > 0 {
		_ = unix.Kill(-group, s)
	}
}

// executing says whether bash executes a command, as opposed to reading one or waiting for one, and waits until one of
// these is so. An interrupt may be sent only then, see send.
//
// While a command is executed, standard input is the terminal (or what the command has made it), otherwise where commands come from.
// There is no event for that change, hence the pauses; but to be there before bash has read a command, one must be very
// quick, or the command very long.
func (b *bash) executing() bool {
	stdin := "/proc/" + strconv.Itoa(b.pid) + "/fd/0"
	for until := time.Now().Add(readingLimit); time.Now().Before(until); time.Sleep(time.Millisecond) {
		b.mu.Lock()
		waiting := b.waiting && !b.dead && !b.leave
		b.mu.Unlock()
		if !waiting {
			return false
		}
		if target, err := os.Readlink(stdin); err != nil || target != b.stdin {
			return true
		}
		b.poll() // what is not read yet may be the report
	}
	return false
}

const readingLimit = 10 * time.Second // 5 MB take bash one or two

// foreground is the process group that the terminal's signals go to; 0 if there is none.
func (b *bash) foreground() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0
	case b.piped: // a shell without job control has its programs in its own group
		return b.pid
	}
	if group, err := unix.IoctlGetInt(b.tty, unix.TIOCGPGRP); err == nil && group > 0 {
		return group
	}
	return b.pid // the one that was has ended just now, and bash has not taken its place yet
}
