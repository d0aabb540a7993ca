package jail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/sandbox"
)

// Tiers are how well a jail can isolate, the weakest first. docs/isolation.md says what each promises. A jail is never
// weaker than the first; what the machine has besides is used and told.
var Tiers = []string{TierNamespaces, TierBounded}

const (
	// TierNamespaces has all the kernel's namespaces, a root of its own, no capabilities and a filter for system calls.
	TierNamespaces = "namespaces"
	// TierBounded has control groups besides, for CPU, memory and processes, and user numbers that are nobody's on the
	// host. It needs root.
	TierBounded = "bounded"
)

func isTier(name string) bool { return slices.Contains(Tiers, name) }

// advice is for a machine that does not let jails be made.
const advice = "a container needs seccomp=unconfined and systempaths=unconfined; on a machine users must be allowed user namespaces " +
	"(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"

// bounded says what is missing for TierBounded; nil if nothing is.
func (d *Driver) bounded() error {
	if os.Geteuid() != 0 {
		return errors.New("it needs root: an ordinary user can make no control groups, and has one user number")
	}
	return homes.Unbounded()
}

// suffices refuses where the machine cannot give what the configuration asks for: what is to be shown, the least tier, and images.
// Codes: Invalid, Denied, Unsupported.
func (d *Driver) suffices() error {
	if err := d.config.shown().Present("jail"); err != nil {
		return err
	}
	if d.config.Storage == storageImage {
		if err := canImage(); err != nil {
			return homes.Coded(sandbox.Unsupported, fmt.Errorf("backends.jail.storage is %q: %w", storageImage, err))
		}
	}
	if d.inMemory() && os.Geteuid() != 0 {
		return homes.Coded(sandbox.Unsupported, fmt.Errorf("backends.jail.storage is %q: it needs root, who alone can hand a file system down to another user", storageMemory))
	}
	if d.inMemory() && !homes.Tree().Has(cgroup.Memory) {
		return homes.Coded(sandbox.Unsupported, fmt.Errorf("backends.jail.storage is %q: it needs the memory controller of control groups, which charges a sandbox for what it writes", storageMemory))
	}
	if d.config.Least != TierBounded {
		return nil
	}
	if err := d.bounded(); err != nil {
		return homes.Coded(sandbox.Unsupported, fmt.Errorf("backends.jail.least is %q, which this machine cannot give: %w", TierBounded, err))
	}
	return nil
}

// Isolation says how well sandboxes are isolated here, and why no better: lacks is what the tiers above need. Whether a jail
// can be made at all, Check finds out.
func (d *Driver) Isolation() (tier string, lacks error) {
	if err := d.bounded(); err != nil {
		return TierNamespaces, fmt.Errorf("%s: %w", TierBounded, err)
	}
	return TierBounded, nil
}

// Check makes a jail, in which nothing runs, and says whether that could be done. Codes: Invalid (sandboxd is not there),
// Unsupported, Canceled.
func (d *Driver) Check(ctx context.Context) error {
	program, err := d.sandboxd()
	if err == nil {
		err = d.suffices()
	}
	if err == nil {
		err = d.try(ctx, program)
	}
	if err != nil {
		return homes.Failed("jail.Check", "", err)
	}
	return nil
}

// try makes a jail whose first process ends when all is in place.
func (d *Driver) try(ctx context.Context, program string) error {
	return d.homes.Try(ctx, func(at homes.Home, l *label) error {
		h := home{at}
		s, err := d.spawn(h, *l, program, nil)
		if err != nil {
			return err
		}
		defer s.close()
		if err := s.tell(); err != nil {
			s.process.Kill()
			return err
		}
		s.close()
		select {
		case <-s.process.Done():
		case <-ctx.Done():
			s.process.Kill()
			return context.Cause(ctx)
		}
		if exit, ok := s.process.Ended(); !ok || exit.Code != 0 {
			return homes.Coded(sandbox.Unsupported, fmt.Errorf("no jail can be made here%s\n%s", strings.TrimRight(homes.LastWords(h.LogFile()), "\n"), advice))
		}
		return nil
	})
}
