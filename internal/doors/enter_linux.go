package doors

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenIn opens the doors of a network namespace from outside, by its file: /proc/PID/ns/net, or one that is mounted
// somewhere. It needs CAP_SYS_ADMIN here, and is for sandboxes that somebody else sets up, such as containers without a
// network. One with another interface than lo, such as the host's own, is refused.
//
// Several processes may have them open at a time: each connection goes to one of them, and when one ends, the others get
// what comes.
func OpenIn(namespace string) (Set, error) {
	type result struct {
		set Set
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // and not unlocked: the thread, which is in there, ends with the goroutine
		set, err := openIn(namespace)
		done <- result{set, err}
	}()
	r := <-done
	return r.set, r.err
}

func openIn(namespace string) (Set, error) {
	f, err := os.Open(namespace)
	if err != nil {
		return Set{}, err
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return Set{}, os.NewSyscallError("setns", err)
	}
	if err := alone(); err != nil {
		return Set{}, fmt.Errorf("%s: %w", namespace, err)
	}
	return open(true)
}

// fallback are the tunnels that the kernel makes in every namespace, and leaves off, once it has learnt to make any
// (net.core.fb_tunnels_only_for_init_net).
var fallback = []string{"tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "ip6tnl0", "ip6gre0"}

// alone says whether lo is the only interface of the thread's namespace. Where there is another one, as in the host's own,
// doors would cut off whoever uses it.
func alone() error {
	b, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		name, _, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); ok && name != "lo" && !slices.Contains(fallback, name) {
			return fmt.Errorf("a network with an interface %s is used by somebody, and doors would cut it off", name)
		}
	}
	return nil
}
