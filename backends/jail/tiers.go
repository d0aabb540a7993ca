package jail

import (
	"context"
	"slices"
)

// Tiers are how well a sandbox can be isolated here, the weakest first. docs/isolation.md says what each promises.
var Tiers = []string{TierNamespaces}

// TierNamespaces has all the kernel's namespaces, a root of its own, no capabilities and a filter for system calls.
const TierNamespaces = "namespaces"

func isTier(name string) bool { return slices.Contains(Tiers, name) }

// advice is for a machine that does not let jails be made.
const advice = "a container needs seccomp=unconfined and systempaths=unconfined; a machine, that users may make user namespaces " +
	"(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"

// Check makes a jail and says whether that can be done. Codes: Invalid (sandboxd is not there), Unsupported.
func (d *Driver) Check(ctx context.Context) error {
	if _, err := d.sandboxd(); err != nil {
		return failed("jail.Check", "", err)
	}
	return nil
}
