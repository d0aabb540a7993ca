package server

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// load measures what the server's own process uses.
type load struct {
	began time.Time

	mu  sync.Mutex
	at  time.Time // of the latest figure of CPU time
	cpu time.Duration
}

func newLoad() *load {
	l := &load{began: time.Now(), at: time.Now()}
	l.cpu = cpuTime()
	return l
}

// cpuPercent is the CPU time used since the last call, 100 being one core all the time. The original sleeps a tenth of a
// second to have two figures.
func (l *load) cpuPercent() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, cpu := time.Now(), cpuTime()
	percent := 0.0
	if passed := now.Sub(l.at); passed > 0 {
		percent = 100 * float64(cpu-l.cpu) / float64(passed)
	}
	l.at, l.cpu = now, cpu
	return tenths(percent)
}

func (l *load) uptime() time.Duration { return time.Since(l.began) }

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func tenths(v float64) float64 { return float64(int64(v*10+0.5)) / 10 }

// float is a number that keeps its point in JSON, as clients of the original check that it is a float.
type float float64

func (f float) MarshalJSON() ([]byte, error) {
	b := strconv.AppendFloat(nil, float64(f), 'f', -1, 64)
	if !bytes.ContainsRune(b, '.') {
		b = append(b, ".0"...)
	}
	return b, nil
}

type serverInfo struct {
	Uptime    float     `json:"uptime"`
	IdleTime  float     `json:"idle_time"`
	Resources resources `json:"resources"`
}

type resources struct {
	CPUPercent float `json:"cpu_percent"`
	Memory     struct {
		RSS     uint64 `json:"rss"`
		VMS     uint64 `json:"vms"`
		Percent float  `json:"percent"`
	} `json:"memory"`
	Disk struct {
		Total   uint64 `json:"total"`
		Used    uint64 `json:"used"`
		Free    uint64 `json:"free"`
		Percent float  `json:"percent"`
	} `json:"disk"`
	IO struct {
		ReadBytes  uint64 `json:"read_bytes"`
		WriteBytes uint64 `json:"write_bytes"`
	} `json:"io"`
}

// serverInfo is what the original tells, and nothing else.
func (s *Server) serverInfo(ctx *fasthttp.RequestCtx) {
	up := time.Since(s.contact.began)
	answerJSON(ctx, fasthttp.StatusOK, serverInfo{Uptime: float(up.Seconds()),
		IdleTime: float((up - time.Duration(s.executed.Load())).Seconds()), Resources: s.resources()})
}

// resources are what the server's own process uses, and the disk at "/".
func (s *Server) resources() (r resources) {
	r.CPUPercent = float(s.load.cpuPercent())
	memory := &r.Memory
	memory.VMS, memory.RSS = pages("/proc/self/statm")
	if total := named("/proc/meminfo", "MemTotal:") * 1024; total > 0 {
		memory.Percent = float(100 * float64(memory.RSS) / float64(total))
	}
	var fs syscall.Statfs_t
	if syscall.Statfs("/", &fs) == nil {
		size, disk := uint64(fs.Bsize), &r.Disk
		disk.Total, disk.Free = fs.Blocks*size, fs.Bavail*size
		disk.Used = (fs.Blocks - fs.Bfree) * size
		if reach := disk.Used + disk.Free; reach > 0 { // as df counts: what root keeps for itself is no one's
			disk.Percent = float(tenths(100 * float64(disk.Used) / float64(reach)))
		}
	}
	r.IO.ReadBytes, r.IO.WriteBytes = named("/proc/self/io", "read_bytes:"), named("/proc/self/io", "write_bytes:")
	return r
}

// pages reads the first two fields of statm in bytes; 0 if that cannot be.
func pages(path string) (size, resident uint64) {
	b, _ := os.ReadFile(path)
	f := bytes.Fields(b)
	if len(f) < 2 {
		return 0, 0
	}
	size, _ = strconv.ParseUint(string(f[0]), 10, 64)
	resident, _ = strconv.ParseUint(string(f[1]), 10, 64)
	page := uint64(os.Getpagesize())
	return size * page, resident * page
}

// named reads the number behind a name in a file of /proc; 0 if that cannot be.
func named(path, name string) uint64 {
	b, _ := os.ReadFile(path)
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			if f := bytes.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseUint(string(f[0]), 10, 64)
				return n
			}
		}
	}
	return 0
}
