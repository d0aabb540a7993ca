package jail

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/internal/homes"
	"github.com/sandtree/sandtree/internal/cgroup"
	"github.com/sandtree/sandtree/internal/held"
	"github.com/sandtree/sandtree/sandbox"
)

// countEvery is how often it is looked which limits are hit. The kernel counts some of it, so that nothing is missed; that there is
// no process, byte or file left, it tells nobody: that is seen if it lasts.
const countEvery = time.Second

// counted is what has been told of a sandbox, for the next process that counts.
type counted struct {
	Memory    uint64 `json:"memory"`    // processes killed for want of it
	Processes uint64 `json:"processes"` // that were refused
}

func (h home) countedFile() string { return h.Path("audit.counted") }

// hits looks which limits of a sandbox are hit.
type hits struct {
	ear   *ear
	group cgroup.Group
	told  counted
	full  map[string]bool // limits that were found to be reached, and told
}

// countHits tells which limits are hit, until the sandbox ends.
func (e *ear) countHits(ctx context.Context) {
	c := &hits{ear: e, group: homes.Group(&e.label.Label), full: map[string]bool{}}
	_ = held.ReadJSON(e.home.countedFile(), &c.told) // the first has none
	t := time.NewTicker(countEvery)
	defer t.Stop()
	for {
		c.look()
		select {
		case <-t.C:
		case <-e.server.Done():
			c.look() // for what it may have ended of
			return
		case <-ctx.Done():
			return
		}
	}
}

func (c *hits) look() {
	now := counted{Memory: c.group.OOMKills(), Processes: c.refused()}
	changed := c.counter(backends.LimitMemory, &c.told.Memory, now.Memory)
	changed = c.counter(backends.LimitProcesses, &c.told.Processes, now.Processes) || changed
	if changed {
		_ = held.WriteJSON(c.ear.home.countedFile(), c.told) // of one that is being removed there need be none
	}
	limits := c.ear.label.Limits
	if most := homes.Processes(limits); most > 0 {
		c.level(backends.LimitProcesses, c.processes() >= most)
	}
	if c.ear.label.Imaged {
		c.levelsOfDisk()
	}
}

// counter tells how far a count has risen.
func (c *hits) counter(limit string, told *uint64, now uint64) bool {
	switch {
	case now == *told:
		return false
	case now < *told: // of a server before this one
		*told = now
		return true
	}
	if c.ear.tellOne(sandbox.AuditRecord{Kind: sandbox.AuditLimit, Limit: limit, Times: int64(now - *told)}) != nil {
		return false // it is told the next time
	}
	*told = now
	return true
}

// level tells that a limit is reached, once until it is not any more.
func (c *hits) level(limit string, reached bool) {
	if reached && !c.full[limit] && c.ear.tellOne(sandbox.AuditRecord{Kind: sandbox.AuditLimit, Limit: limit}) != nil {
		return // it is told the next time
	}
	c.full[limit] = reached
}

func (c *hits) levelsOfDisk() {
	var s unix.Statfs_t
	if unix.Statfs(c.ear.workspace(), &s) != nil || !c.ear.server.Alive() {
		return
	}
	// The last blocks are for what a file system needs of its own, and are hardly ever all given away.
	c.level(backends.LimitDisk, s.Bavail*100 <= s.Blocks)
	c.level(backends.LimitFiles, s.Files > 0 && s.Ffree == 0)
}

// refused is how often the control group has refused a process.
func (c *hits) refused() uint64 {
	b, _ := os.ReadFile(filepath.Join(c.group.Dir(cgroup.PIDs), "pids.events"))
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "max "); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(v), 10, 64)
			return n
		}
	}
	return 0
}

// processes is how many processes and threads there are.
func (c *hits) processes() int {
	b, _ := os.ReadFile(filepath.Join(c.group.Dir(cgroup.PIDs), "pids.current"))
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}
