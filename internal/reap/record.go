package reap

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// A Record is a file that names the sessions a server has started, for the next server in case this one is killed.
type Record struct {
	mu sync.Mutex
	f  *os.File
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
	return &Record{f: f}, parseRecord(old), existed, nil
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

func boot() string {
	b, _ := os.ReadFile(bootID)
	if id := strings.TrimSpace(string(b)); id != "" {
		return id
	}
	return "-" // not Linux as we know it: then a reboot is not told from none
}

// Add notes the session that pid leads.
func (r *Record) Add(pid int) error {
	p, err := Stat(pid)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err = fmt.Fprintf(r.f, "%s %d %d;\n", boot(), p.PID, p.Start)
	return err
}

// Forget empties the record: nothing of what it named is left.
func (r *Record) Forget() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.f.Truncate(0)
}

// Remove deletes the file and closes the record, when all its sessions have ended.
func (r *Record) Remove() error { return errors.Join(os.Remove(r.f.Name()), r.Close()) }

// Close keeps the file, so that the next server ends what it names. It may be called twice.
func (r *Record) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
