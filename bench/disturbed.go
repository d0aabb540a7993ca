package bench

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/reap"
)

// What is said of a run: beyond these its figures are not those of the machine alone.
const (
	stolen   = 0.02                   // part of the CPU time that the hypervisor gave to others
	taken    = 0.10                   // part of the CPU time that processes had which were there before
	jumped   = 500 * time.Millisecond // by which the wall clock and the monotonic clock may part
	loaded   = 0.5                    // load for each core when the run begins: the machine was at something else
	pressing = 0.05                   // part of the time in which all work waited for memory or the disk
)

// A watch sees what else the machine does during a run: what it is like at the beginning, and what has become of it at the end.
type watch struct {
	begun  time.Time
	wall   time.Time // without the monotonic clock
	load   float64
	cpu    cpuTimes
	others map[reap.Proc]time.Duration // CPU time of the processes that were there, which are not what is measured
	stalls map[string]time.Duration    // by resource
	most   time.Duration               // that the clocks were apart
}

func watchMachine() *watch {
	w := &watch{begun: time.Now(), load: load(), cpu: readCPU(), others: map[reap.Proc]time.Duration{}, stalls: stalls()}
	w.wall = w.begun.Round(0)
	for p, used := range others() {
		w.others[p] = used
	}
	return w
}

// look looks at the clocks, between scenarios.
func (w *watch) look() {
	apart := time.Now().Round(0).Sub(w.wall) - time.Since(w.begun)
	if apart.Abs() > w.most.Abs() {
		w.most = apart
	}
}

// findings are the sentences that a report has.
func (w *watch) findings() (all []string) {
	w.look()
	now := readCPU()
	whole := now.all - w.cpu.all
	if whole <= 0 {
		return nil
	}
	part := func(d time.Duration) float64 { return float64(d) / float64(whole) }
	if per := w.load / float64(now.cores); per > loaded {
		all = append(all, fmt.Sprintf("the load was %.2f when it began: the machine was at something else", w.load))
	}
	if s := part(now.stolen - w.cpu.stolen); s > stolen {
		all = append(all, fmt.Sprintf("the hypervisor gave %.0f %% of the CPU time to others", s*100))
	}
	if share, most := w.taken(); part(share) > taken {
		all = append(all, fmt.Sprintf("processes that were there before took %.0f %% of the CPU time; most of it %s", part(share)*100, most))
	}
	if w.most.Abs() > jumped {
		all = append(all, fmt.Sprintf("the clock was set by %v", w.most.Round(time.Millisecond)))
	}
	for resource, was := range w.stalls {
		if s := float64(stalls()[resource]-was) / float64(time.Since(w.begun)); s > pressing {
			all = append(all, fmt.Sprintf("everything waited for %s in %.0f %% of the time", resource, s*100))
		}
	}
	slices.Sort(all)
	return all
}

// taken is the CPU time that the processes had which were there, and the name of the one that had most.
func (w *watch) taken() (sum time.Duration, most string) {
	greatest := time.Duration(0)
	there := others()
	for p, was := range w.others {
		if _, lives := there[p]; !lives { // whoever waited for it has its time now, also that of before
			sum -= was
		}
	}
	for p, now := range there {
		was, there := w.others[p]
		if !there {
			continue
		}
		sum += now - was
		if now-was > greatest {
			greatest = now - was
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
			most = strings.TrimSpace(string(name))
		}
	}
	return max(0, sum), most
}

// engines are programs that work for sandboxes, though nobody here started them.
var engines = []string{"dockerd", "containerd", "containerd-shim", "runc", "runsc"}

// others are the processes besides this one and the engines, and the CPU time that each had, with the children that it waited for.
func others() map[reap.Proc]time.Duration {
	all := map[reap.Proc]time.Duration{}
	list, _ := reap.List()
	for _, p := range list {
		if p.PID == os.Getpid() || p.PPID == 2 || p.PID == 2 { // the kernel's own threads work for us too
			continue
		}
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
		if err != nil {
			continue
		}
		begin, end := strings.IndexByte(string(b), '('), strings.LastIndexByte(string(b), ')')
		f := strings.Fields(string(b[end+1:]))
		if len(f) < 15 || slices.Contains(engines, string(b[begin+1:end])) {
			continue
		}
		all[reap.Proc{PID: p.PID, Start: p.Start}] = hundredths(f[11:15]...)
	}
	return all
}

// cpuTimes are those of /proc/stat, of all cores together.
type cpuTimes struct {
	all, idle, stolen time.Duration
	cores             int
}

func readCPU() (t cpuTimes) {
	b, _ := os.ReadFile("/proc/stat")
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		switch {
		case len(f) > 8 && f[0] == "cpu": // user nice system idle iowait irq softirq steal
			t.all, t.idle, t.stolen = hundredths(f[1:9]...), hundredths(f[4:6]...), hundredths(f[8])
		case len(f) > 0 && strings.HasPrefix(f[0], "cpu"):
			t.cores++
		}
	}
	t.cores = max(t.cores, 1)
	return t
}

// hundredths adds up times as /proc has them, whatever the kernel's own clock is.
func hundredths(fields ...string) (sum time.Duration) {
	for _, f := range fields {
		n, _ := strconv.ParseInt(f, 10, 64)
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum
}

// stalls are the times in which nothing went on for want of something, where the kernel tells (Documentation/accounting/psi.rst).
func stalls() map[string]time.Duration {
	all := map[string]time.Duration{}
	for resource, file := range map[string]string{"memory": "/proc/pressure/memory", "the disk": "/proc/pressure/io"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if _, total, ok := strings.Cut(line, "total="); ok && strings.HasPrefix(line, "full") {
				n, _ := strconv.ParseInt(strings.TrimSpace(total), 10, 64)
				all[resource] = time.Duration(n) * time.Microsecond
			}
		}
	}
	return all
}

// raiseFiles lets this process, and those that it starts, have as many descriptors as they may.
func raiseFiles() uint64 {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return 0
	}
	if r.Cur < r.Max {
		r.Cur = r.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &r)
	}
	return r.Cur
}
