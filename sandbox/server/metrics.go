package server

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/sandtree/sandtree/internal/reap"
)

// metrics answers with the server's figures in Prometheus' text form 0.0.4. It is written here: what makes it from a
// registry would be a fifth of the program.
func (s *Server) metrics(a asked) {
	a.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	a.SetBody(s.appendMetrics(nil))
}

// A sheet is a text of figures in the making.
type sheet []byte

// head begins a figure: its name, type and what it says.
func (b *sheet) head(name, typ, help string) {
	*b = fmt.Appendf(*b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, typ)
}

// line is one value. labels are pairs of names and values.
func (b *sheet) line(name string, v float64, labels ...string) {
	*b = append(*b, name...)
	for i := 0; i < len(labels); i += 2 {
		*b = append(*b, "{,"[min(i, 1)])
		*b = append(append(*b, labels[i]...), '=')
		*b = append(*b, '"')
		*b = append(append(*b, escape.Replace(labels[i+1])...), '"')
	}
	if len(labels) > 0 {
		*b = append(*b, '}')
	}
	*b = strconv.AppendFloat(append(*b, ' '), v, 'g', -1, 64)
	*b = append(*b, '\n')
}

var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func (b *sheet) gauge(name, help string, v float64) {
	b.head(name, "gauge", help)
	b.line(name, v)
}

func (b *sheet) counter(name, help string, v float64) {
	b.head(name, "counter", help)
	b.line(name, v)
}

func (s *Server) appendMetrics(dst []byte) []byte {
	b := sheet(dst)
	f := &s.figures
	b.head("sandboxd_build_info", "gauge", "1, with the version of the program.")
	b.line("sandboxd_build_info", 1, "version", s.config.version())
	b.gauge("sandboxd_uptime_seconds", "Since the start of the server.", time.Since(f.began).Seconds())
	b.gauge("sandboxd_idle_seconds", "Since the last action ended; 0 while one is performed.", f.idle().Seconds())
	running := f.running.Load()
	b.gauge("sandboxd_running_actions", "Actions being performed.", float64(running))
	b.gauge("sandboxd_waiting_actions", "Actions received whose turn has not come.", float64(max(0, s.received()-running)))
	s.appendActions(&b)
	b.counter("sandboxd_output_bytes_total", "Printed by actions.", float64(f.output.Load()))
	b.gauge("sandboxd_sessions", "Shell sessions and terminals.", float64(s.sessions.count()))
	b.gauge("sandboxd_processes", "Processes in the sandbox besides the server.", float64(s.processes()))
	b.gauge("sandboxd_connections", "Connections of clients.", float64(s.conns.count()))
	b.gauge("sandboxd_forwards", "Connections handed on to ports and tools.", float64(s.forwards.Load()))
	b.gauge("sandboxd_ledger_entries", "Actions known by their ids, with their answers or running.", float64(s.ledger.Len()))
	b.counter("sandboxd_out_of_memory_kills_total", "Processes of the sandbox that the kernel has killed for want of memory.", float64(s.memory.killed()))
	disk := diskOf(s.config.Dir)
	b.gauge("sandboxd_disk_free_bytes", "Free where the workspace is.", float64(disk.Free))
	b.gauge("sandboxd_disk_total_bytes", "Size of the file system where the workspace is.", float64(disk.Total))
	appendSelf(&b)
	return b
}

// appendActions adds what is counted by kind, of the kinds that there have been.
func (s *Server) appendActions(b *sheet) {
	const total, took = "sandboxd_actions_total", "sandboxd_action_duration_seconds"
	b.head(total, "counter", "Actions performed, by kind and by how they ended.")
	for i, kind := range kinds {
		k := &s.figures.kinds[i]
		for o, name := range outcomeNames {
			if n := k.outcome[o].Load(); n > 0 {
				b.line(total, float64(n), "kind", string(kind), "outcome", name)
			}
		}
	}
	b.head(took, "histogram", "Time from an action's turn to its end, by kind.")
	for i, kind := range kinds {
		k := &s.figures.kinds[i]
		sum, so := float64(k.nanos.Load())/1e9, uint64(0)
		for at := range k.within {
			so += k.within[at].Load()
		}
		if so == 0 {
			continue
		}
		so = 0
		for at := range k.within {
			le := "+Inf"
			if at < len(limits) {
				le = strconv.FormatFloat(limits[at].Seconds(), 'g', -1, 64)
			}
			so += k.within[at].Load()
			b.line(took+"_bucket", float64(so), "kind", string(kind), "le", le)
		}
		b.line(took+"_sum", sum, "kind", string(kind))
		b.line(took+"_count", float64(so), "kind", string(kind))
	}
}

// appendSelf adds what the server's own process uses.
func appendSelf(b *sheet) {
	size, resident := pages("/proc/self/statm")
	b.gauge("sandboxd_resident_memory_bytes", "Of the server's own process.", float64(resident))
	b.gauge("sandboxd_virtual_memory_bytes", "Of the server's own process.", float64(size))
	b.counter("sandboxd_cpu_seconds_total", "CPU time used by the server's own process.", cpuTime().Seconds())
	b.gauge("sandboxd_descriptors", "Files and connections that the server has open.", float64(descriptors()))
	b.gauge("sandboxd_goroutines", "Goroutines of the server.", float64(runtime.NumGoroutine()))
}

func descriptors() int {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	return max(0, len(names)-1) // besides dir
}

// received is how many actions are waiting or being performed.
func (s *Server) received() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.waiting) + s.asking.Load()
}

// processes is how many there are in the sandbox besides the server.
func (s *Server) processes() int {
	find := reap.Descendants(os.Getpid())
	if s.config.Cgroup != "" {
		find = reap.InCgroup(s.config.Cgroup)
	}
	procs, _ := find()
	return len(procs)
}
