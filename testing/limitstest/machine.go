package limitstest

import (
	"os"
	"runtime"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// cpu lets two programs loop, so that one core would not bound them. A sandbox never gets more than its quota; on a machine
// that others use too it may get less, whatever the limit.
func (w *world) cpu() {
	const cores, seconds = 0.5, 3
	s := w.start(sandbox.Spec{Limits: sandbox.Limits{CPU: cores}})
	w.within("cores", cores, 0.1, func() float64 {
		out, _ := w.run(s, `for i in 1 2; do timeout 3 sh -c 'while :; do :; done' & done 2>/dev/null; wait; times >t; tail -n 1 t`)
		used := 0.0
		for word := range strings.FieldsSeq(out) { // user and system time of all its children so far, as in 0m1.230s
			used += minutes(word)
		}
		spent := (used - w.spent) / seconds
		w.spent = used
		if n := busy(); spent < cores && n > float64(runtime.NumCPU()) {
			w.Skipf("it got %.3g cores of %v on a machine with %d for %.3g programs, which says nothing", spent, cores, runtime.NumCPU(), n)
		}
		return spent
	})
}

// busy is how many programs have wanted a CPU in the last minute, on average.
func busy() float64 {
	b, _ := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(b), " ")
	return number(load)
}

func minutes(word string) float64 {
	m, s, ok := strings.Cut(strings.TrimSuffix(word, "s"), "m")
	if !ok {
		return 0
	}
	return 60*number(m) + number(s)
}

func (w *world) affinity() {
	s := w.start(sandbox.Spec{Limits: sandbox.Limits{Affinity: "0"}})
	if out, _ := w.run(s, `grep ^Cpus_allowed_list: /proc/self/status`); strings.TrimSpace(strings.TrimPrefix(out, "Cpus_allowed_list:")) != "0" {
		w.Errorf("it may run on %q, want CPU 0", out)
	}
}

// memory asks for more than there may be, in one program; the rest of the sandbox lives on.
func (w *world) memory() {
	s := w.start(sandbox.Spec{Limits: sandbox.Limits{Memory: 128 << 20}})
	if out, code := w.run(s, `dd if=/dev/zero of=/dev/null bs=64M count=2`); code != 0 {
		w.Errorf("64 MiB of 128: exit %d, %s", code, out)
	}
	if out, code := w.run(s, `dd if=/dev/zero of=/dev/null bs=300M count=2`); code == 0 {
		w.Errorf("300 MiB of 128: exit %d, %s", code, out)
	}
	if out, _ := w.run(s, `echo alive`); out != "alive" {
		w.Errorf("afterwards: %q", out)
	}
}

func (w *world) disk() {
	const limit = 64 << 20
	s := w.start(sandbox.Spec{Limits: sandbox.Limits{Disk: limit}})
	if n := w.number(s, `dd if=/dev/zero of=big bs=1M count=96 2>/dev/null; wc -c <big`); n < limit*0.7 || n > limit*1.05 {
		w.Errorf("%.0f bytes were written, want nearly %d", n, limit)
	}
	if out, code := w.run(s, `rm big && echo x >small && cat small`); out != "x" {
		w.Errorf("with room again: exit %d, %q", code, out)
	}
}

func (w *world) files() {
	s := w.start(sandbox.Spec{Limits: sandbox.Limits{Files: 200}})
	if n := w.number(s, `mkdir f; for i in $(seq 400); do : >f/$i; done 2>/dev/null; ls f | wc -l`); n < 50 || n > 200 {
		w.Errorf("%.0f files were made, want nearly 200", n)
	}
}

// The page cache is gone around, since not every kernel bounds what goes through it.
func (w *world) diskWrite() {
	const rate = 10 << 20
	s := w.start(sandbox.Spec{Limits: sandbox.Limits{DiskWrite: rate}})
	w.within("bytes/s written", rate, 0.1, func() float64 {
		return 20 << 20 / w.number(s, `dd if=/dev/zero of=w bs=1M count=2 oflag=direct 2>/dev/null; `+timed(`dd if=/dev/zero of=w bs=1M count=20 oflag=direct 2>/dev/null`))
	})
}

func (w *world) diskRead() {
	const rate = 10 << 20
	s := w.start(sandbox.Spec{Limits: sandbox.Limits{DiskRead: rate}})
	w.run(s, `dd if=/dev/zero of=r bs=1M count=20; sync`)
	w.within("bytes/s read", rate, 0.1, func() float64 {
		return 20 << 20 / w.number(s, timed(`dd if=r of=/dev/null bs=1M iflag=direct 2>/dev/null`))
	})
}

// timed makes a command say how many seconds it took, to a hundredth: all that busybox can tell.
func timed(command string) string {
	return `read a _ </proc/uptime; ` + command + `; read b _ </proc/uptime; awk "BEGIN { print $b - $a }"`
}

// processes counts how many a loop can start; dash gives up at the first that cannot be. A driver may add what the server
// inside needs, if it cannot count that apart.
func (w *world) processes() {
	const limit, server = 100, 64
	s := w.start(sandbox.Spec{Limits: sandbox.Limits{Processes: limit}})
	n := w.number(s, `sh -c 'i=0; while [ $i -lt 250 ]; do sleep 100006 & i=$((i+1)); echo $i >n; done' 2>/dev/null; pkill -f 'sleep 100006'; cat n`)
	if n < limit*0.8 || n > limit+server {
		w.Errorf("%.0f processes were started, want nearly %d", n, limit)
	}
}
