package shell

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/reap"
)

// interrupt does what ^C does, whatever the terminal's modes are. It gives whom the signal went to, none if nobody.
func (b *bash) interrupt() target {
	b.mu.Lock()
	number := b.number
	b.mu.Unlock()
	return b.interruptOnly(number)
}

// interruptOnly is interrupt, unless the command is another one meanwhile: what is meant for a command that has ended
// would hit bash while it reads the next.
func (b *bash) interruptOnly(number int) target {
	if !b.executing() {
		return target{}
	}
	to := b.aim()
	b.mu.Lock()
	due := to.group > 0 && b.number == number && b.waiting && !b.closed
	if due {
		if to.former > 0 {
			_ = unix.Kill(-to.former, unix.SIGINT)
		}
		_ = unix.Kill(-to.group, unix.SIGINT)
		_ = unix.Kill(b.pid, unix.SIGCONT) // it may have stopped itself
	}
	b.mu.Unlock()
	if !due {
		return target{}
	}
	b.again()
	return to
}

// A target is the process group that an interrupt goes to; 0 is none.
type target struct {
	group  int
	former int    // what still has the terminal, of an earlier command or ended; 0 if nothing does
	deaf   bool   // its leader does not end by an interrupt
	unborn bool   // its leader is a child of bash that may not have become a program yet
	when   uint64 // clock ticks since boot: the terminal has passed the key on by then
}

// aim is the target of an interrupt that comes now. What an earlier command has run may still have the terminal, if bash was
// interrupted before it took that back: then it is bash that is meant too, and a key would not reach it.
func (b *bash) aim() target {
	to := target{group: b.foreground(), when: reap.Ticks() + keyTicks}
	b.mu.Lock()
	earlier := b.earlier
	b.mu.Unlock()
	if to.group == b.pid && b.reading() { // and yet it executes something, or nobody would ask
		if job := b.job(); job > 0 {
			to.group = job
		}
	}
	switch {
	case to.group <= 0 || to.group == b.pid:
	case to.group == earlier || errors.Is(unix.Kill(-to.group, 0), unix.ESRCH):
		to.group, to.former = b.pid, to.group
	default:
		to.deaf, to.unborn = fateOf(to.group) == deaf, b.unborn(to.group)
	}
	return to
}

const keyTicks = 1

// missed says no, not heard, if bash was interrupted just when it made the program that runs now: then bash has not heard
// of it because it waits for the program by now, and the program because it was none yet.
func (b *bash) missed(to target) answer {
	group := b.foreground()
	switch {
	case to.group != b.pid || group <= 0:
		return yes
	case group == b.pid && to.former > 0: // it may be about to make a program
		return perhaps
	case group == b.pid:
		return yes
	}
	if p, err := reap.Stat(group); err == nil && p.Start > to.when && to.former == 0 {
		return yes
	}
	switch fate := fateOf(group); {
	case fate == unhurt:
		return no
	case fate != deaf || b.unborn(group):
		return perhaps
	}
	return yes
}

// persist sends an interrupt that was lost again, as a person would press the key again. It is lost if the group that it
// went to was just being made: a child of bash has bash's handlers until it becomes a program (see also missed). With next,
// it is sent again too while the command goes on though the group has ended. A group that ends just then takes the signal
// with it, and bash, which goes on to the next of many small programs, never hears of it; or bash hears of it while it
// waits for a program that does not, and so takes it for handled.
func (b *bash) persist(to target, next bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if to.group <= 0 || b.closed || b.persisting == b.number || !b.waiting {
		return
	}
	number := b.number
	b.persisting = number
	b.wg.Go(func() {
		defer b.persisted(number)
		sent := 0
		for until := time.Now().Add(persistFor); sent < persistence && time.Now().Before(until); {
			timer := time.NewTimer(persistAfter)
			select {
			case <-timer.C:
			case <-b.gone:
				timer.Stop()
			}
			b.mu.Lock()
			over := !b.waiting || b.dead || b.leave || b.number != number
			b.mu.Unlock()
			if over {
				return
			}
			switch b.heard(to, next) {
			case yes:
				return
			case no:
				if to = b.interruptOnly(number); to.group == 0 {
					return
				}
				sent++
			}
		}
	})
}

// persisted says that nobody sends the interrupt of that command again any more.
func (b *bash) persisted(number int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.persisting == number {
		b.persisting = 0
	}
}

type answer int

const (
	perhaps answer = iota // it has not got round to it, or bash has not
	yes
	no
)

// heard says whether an interrupt has come to somebody who does with it what he likes.
func (b *bash) heard(to target, next bool) answer {
	if to.group != b.pid && unix.Kill(-to.group, 0) == nil {
		switch fate := fateOf(to.group); {
		case to.deaf && !to.unborn: // it may have heard, done with listening, and be about to end
			return yes
		case fate == unhurt:
			return no
		case fate == deaf && !b.unborn(to.group):
			return yes
		}
		return perhaps
	}
	if next {
		return no
	}
	return b.missed(to)
}

// unborn says whether a child of bash may not have become a program yet: it still is bash, with a handler.
func (b *bash) unborn(pid int) bool {
	ours, err := os.Readlink("/proc/" + strconv.Itoa(b.pid) + "/exe")
	if err != nil {
		return false
	}
	its, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	return err == nil && its == ours && fateOf(pid) != unhurt
}

// A fate is what an interrupt means to a process.
type fate int

const (
	ended  fate = iota
	struck      // one is pending
	deaf        // it catches, ignores or blocks it
	unhurt      // it would end by it, and so has not got any
)

func fateOf(pid int) fate {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return ended
	}
	f := unhurt
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		set, _ := strconv.ParseUint(value, 16, 64)
		has := set&(1<<(unix.SIGINT-1)) != 0
		switch name {
		case "State":
			if strings.HasPrefix(value, "Z") || strings.HasPrefix(value, "X") {
				return ended
			}
		case "SigPnd", "ShdPnd":
			if has {
				f = struck
			}
		case "SigBlk", "SigIgn", "SigCgt":
			if has {
				return deaf
			}
		}
	}
	return f
}

const (
	persistAfter = 30 * time.Millisecond // by then what was interrupted has ended
	persistence  = 20                    // times
	persistFor   = 5 * time.Second       // a busy machine takes its time to start a program, or to end one
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
// A program in the foreground is a sign of it too: bash that was interrupted while it made the program may have given the
// command over, and then still wait for the program before it goes on to the report.
// There is no event for that change, hence the pauses; but to be there before bash has read a command, one must be very
// quick, or the command very long.
func (b *bash) executing() bool {
	begun := time.Now()
	for time.Since(begun) < readingLimit {
		b.mu.Lock()
		waiting := b.waiting && !b.dead && !b.leave
		b.mu.Unlock()
		if !waiting {
			return false
		}
		if !b.reading() {
			return true
		}
		if group := b.foreground(); group != b.pid && group > 0 && unix.Kill(-group, 0) == nil {
			return true
		}
		if time.Since(begun) > mute && b.job() > 0 {
			return true
		}
		b.poll() // what is not read yet may be the report
		time.Sleep(time.Millisecond)
	}
	return false
}

// reading says whether bash's standard input is where commands come from.
func (b *bash) reading() bool {
	from, err := os.Readlink("/proc/" + strconv.Itoa(b.pid) + "/fd/0")
	return err == nil && from == b.stdin
}

const (
	readingLimit = 10 * time.Second       // 5 MB take bash one or two
	mute         = 100 * time.Millisecond // by then bash has read a command that is no longer than most
)

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
