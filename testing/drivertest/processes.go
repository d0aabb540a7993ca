package drivertest

import (
	"os"
	"strconv"
	"strings"

	"github.com/sandtree/sandtree/backends"
)

// escapees starts processes that try to outlive the sandbox, each in another way, and returns their numbers. Nil if this
// machine would not see them.
func (w *world) escapees(s *backends.Sandbox) []int {
	w.t.Helper()
	if !w.shared(s) {
		return nil
	}
	out := w.run(s, `{
dir=$(mktemp -d)
sleep 100001 & echo $! >$dir/background
nohup sleep 100002 >/dev/null 2>&1 & echo $! >$dir/nohup
mkfifo $dir/ready $dir/again
setsid sh -c 'echo $$ >'$dir'/setsid; echo >'$dir'/ready; exec sleep 100003' >/dev/null 2>&1 & disown
read <$dir/ready
( (setsid sh -c 'trap "" TERM HUP INT; echo $$ >'$dir'/orphan; echo >'$dir'/again; while :; do sleep 100004; done' >/dev/null 2>&1 &) & )
read <$dir/again
cat $dir/background $dir/nohup $dir/setsid $dir/orphan; rm -r $dir
}`)
	var pids []int
	for _, f := range strings.Fields(out) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			continue // what bash says of its jobs
		}
		pids = append(pids, pid)
	}
	if len(pids) < 4 {
		w.t.Fatalf("want four processes, have %q", out)
	}
	pids = pids[len(pids)-4:]
	for _, pid := range pids {
		if !alive(pid) {
			w.t.Fatalf("process %d has ended by itself: %q", pid, out)
		}
	}
	return pids
}

func (w *world) wantDead(pids []int) {
	w.t.Helper()
	for _, pid := range pids {
		if alive(pid) {
			b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
			w.t.Errorf("process %d is left: %q", pid, strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
}

// alive says whether a process exists and has not ended; a zombie has.
func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}
