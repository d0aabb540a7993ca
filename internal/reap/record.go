package reap

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

// A Record is a file that names the sessions a server has started, for the next server in case this one is killed.
type Record struct {
	path string

	mu      sync.Mutex
	f       *os.File
	leaders []Proc // that it names
	tidyAt  int    // how many of them make it worth a look which have ended
}

// fewLeaders are not worth a look. What has ended must go at some time: the numbers come again, and another session that
// has taken one, and lost its own leader, would be taken for ours.
const fewLeaders = 64

// RecordFile is the name of the file in a server's state directory.
const RecordFile = "sessions"

// ReadRecord gives the leaders of the sessions that the file names; none if there is no file.
func ReadRecord(path string) ([]Proc, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return parseRecord(b), err
}

const bootID = "/proc/sys/kernel/random/boot_id"

// OpenRecord opens the file, which it makes if there is none, and gives the leaders of the sessions that an earlier
// server wrote in it; none if the machine has been started since. existed says whether there was one: without, no server
// has started anything.
func OpenRecord(path string) (r *Record, leaders []Proc, existed bool, err error) {
	old, err := os.ReadFile(path)
	existed = err == nil
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, existed, err
	}
	leaders = parseRecord(old)
	return &Record{path: path, f: f, leaders: slices.Clone(leaders), tidyAt: fewLeaders}, leaders, existed, nil
}

func parseRecord(b []byte) []Proc {
	boot := boot()
	var leaders []Proc
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		var id string
		var p Proc
		// A line cut short by the kill has no start and is left out: its process is found by its mark.
		if n, _ := fmt.Sscanf(lines.Text(), "%s %d %d;", &id, &p.PID, &p.Start); n == 3 && id == boot &&
			strings.HasSuffix(lines.Text(), ";") {
			leaders = append(leaders, p)
		}
	}
	return leaders
}

var boot = sync.OnceValue(func() string {
	b, _ := os.ReadFile(bootID)
	if id := strings.TrimSpace(string(b)); id != "" {
		return id
	}
	return "-" // not Linux as we know it: then a reboot is not told from none
})

// Add notes the session that p leads.
func (r *Record) Add(p Proc) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var tidied error
	if len(r.leaders) >= r.tidyAt {
		tidied = r.tidyLocked()
		r.tidyAt = max(fewLeaders, 2*len(r.leaders))
	}
	r.leaders = append(r.leaders, p)
	_, err := r.f.WriteString(p.line())
	return errors.Join(tidied, err)
}

func (p Proc) line() string { return fmt.Sprintf("%s %d %d;\n", boot(), p.PID, p.Start) }

// tidyLocked rewrites the file without the sessions of which nothing is left. After a failure the old file goes on.
func (r *Record) tidyLocked() error {
	procs, err := list() // dead ones too: until they are reaped nobody gets their number
	if err != nil {
		return err
	}
	latest := map[int]uint64{} // the start of the youngest in each session
	for _, p := range procs {
		latest[p.SID] = max(latest[p.SID], p.Start)
	}
	var left []Proc
	var lines strings.Builder
	for _, l := range r.leaders {
		if start, ok := latest[l.PID]; ok && start >= l.Start {
			left = append(left, l)
			lines.WriteString(l.line())
		}
	}
	f, err := os.OpenFile(r.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(lines.String())
	if err == nil {
		err = os.Rename(f.Name(), r.path)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	r.f.Close() // nothing is buffered
	r.f, r.leaders = f, left
	return nil
}

// Forget empties the record: nothing of what it named is left.
func (r *Record) Forget() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaders = nil
	return r.f.Truncate(0)
}

// Remove deletes the file and closes the record, when all its sessions have ended.
func (r *Record) Remove() error { return errors.Join(os.Remove(r.path), r.Close()) }

// Close keeps the file, so that the next server ends what it names. It may be called twice.
func (r *Record) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
