package need

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
)

// jail says whether this user can make the namespaces of a jail, and mount a /proc in them.
var jail = sync.OnceValue(func() error {
	mount, err := exec.LookPath("mount")
	if err != nil {
		return err
	}
	cmd := exec.Command(mount, "-t", "proc", "proc", "/proc")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWCGROUP,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	return cmd.Run()
})

// Jail needs a kernel, and a container if the test runs in one, that let this user make namespaces. The word of the promise
// is "jail".
func Jail(t testing.TB) {
	t.Helper()
	if err := jail(); err != nil {
		lacks(t, "jail", "needs to make user, mount, process and network namespaces: "+err.Error())
	}
}
