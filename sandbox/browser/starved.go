package browser

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// needed is how many processes and threads Chromium has with three pages: 127 were counted. With fewer its pages crash, or
// it does not start.
const needed = 150

// starving says whether a line that Chromium has printed tells that it could not have one more process or thread.
func starving(line string) bool {
	return strings.Contains(line, "pthread_create") || strings.Contains(line, "Resource temporarily unavailable")
}

// explain adds to an error of a browser that could not have all its processes and threads that this may be why, and what
// to do. Nobody else tells: to Chromium they are just not there.
func (p *process) explain(err error) error {
	if err == nil || !p.starved.Load() {
		return err
	}
	return errors.Join(err, p.config.starvation())
}

// starvation is the limit of processes that has been met, as an error.
func (c Config) starvation() error {
	limit := ""
	if n := c.processes(); n > 0 {
		limit = fmt.Sprintf(" of %d", n)
	}
	//lint:ignore ST1005 a sentence of its own
	return fmt.Errorf("Chromium could not have as many processes and threads as it needs, some %d: the sandbox's limit%s was met. "+
		"End programs that are not needed, or ask for a sandbox with a higher limit (processes; of a container: --pids-limit)", needed, limit)
}

// processes is the limit that is known; 0 if none is.
func (c Config) processes() int {
	if c.Child.Cgroup == "" && c.Child.Processes > 0 {
		return c.Child.Processes
	}
	least := 0
	for _, dir := range []string{c.Child.Cgroup, "/sys/fs/cgroup", "/sys/fs/cgroup/pids"} {
		for ; len(dir) > 1; dir = filepath.Dir(dir) { // a group has no more than those above
			b, err := os.ReadFile(filepath.Join(dir, "pids.max"))
			if errors.Is(err, os.ErrNotExist) {
				break
			}
			if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && (least == 0 || n < least) {
				least = n
			}
		}
	}
	return least
}

// unforked is the error of a program that was not started, with the reason where it is the limit of processes.
func (c Config) unforked(err error) error {
	if errors.Is(err, syscall.EAGAIN) {
		return errors.Join(err, c.starvation())
	}
	return err
}
