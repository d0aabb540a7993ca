package chaos

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/actors/journal"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// storm is how bad it gets.
type storm struct {
	runtimes int
	kills    int           // of controllers and of sandboxes, together
	between  time.Duration // kills, on average
	cut      int           // bytes on a connection between cuts, on average
}

var (
	short = storm{runtimes: 3, kills: 30, between: 120 * time.Millisecond, cut: 20_000}
	full  = storm{runtimes: 4, kills: 300, between: 250 * time.Millisecond, cut: 20_000}
)

// TestChaosExactlyOnce lets controllers perform numbered actions while connections are cut and controllers and
// sandboxes are killed, and then compares what was told, what is in the journal and what the commands did.
func TestChaosExactlyOnce(t *testing.T) {
	s := short
	if os.Getenv("CHAOS") == "full" {
		s = full
	}
	f := newField(t, s, plain{})
	t.Cleanup(f.remove)
	for f.kills < s.kills {
		f.run(func(pid int) { f.rage(pid) })
	}
	f.run(func(int) { f.awaitWord(); time.Sleep(2 * time.Second) }) // a calm stretch: what was left open is settled
	f.check()
}

func newField(t *testing.T, s storm, p place) *field {
	f := &field{
		t: t, storm: s, place: p, state: t.TempDir(), sandboxd: sandboxdtest.Binary(t), program: build(t),
		random: rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano()))), told: map[sandbox.ID]map[int]string{},
	}
	for i := range s.runtimes {
		f.ids = append(f.ids, sandbox.ID(fmt.Sprintf("%s-%d", p.name(), i)))
		f.told[f.ids[i]] = map[int]string{}
	}
	return f
}

// field is where the storm takes place.
type field struct {
	t *testing.T
	storm
	place
	state, sandboxd, program string
	random                   *rand.Rand
	ids                      []sandbox.ID
	told                     map[sandbox.ID]map[int]string // the word for each number whose end was told
	kills, sandboxKills      int
	retries                  map[string]int
	heard                    chan struct{} // closed when the present controller has told of an end
}

func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "controller")
	if out, err := exec.Command("go", "build", "-o", program, "./controller").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// run is the life of one controller: it goes on from what was told before, until trouble has returned; then it is killed.
func (f *field) run(trouble func(pid int)) {
	cmd := f.controller(0)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	read := make(chan struct{})
	f.heard = make(chan struct{})
	go func() {
		defer close(read)
		f.listen(out)
	}()
	defer func() {
		if f.t.Failed() { // what it was doing, if it still is there
			cmd.Process.Signal(syscall.SIGQUIT)
			<-read
			f.t.Logf("the controller says\n%s", stderr.Bytes())
		}
	}()
	trouble(cmd.Process.Pid)
	cmd.Process.Kill()
	<-read // the rest of what it said before it died
	if err := cmd.Wait(); cmd.ProcessState.Exited() {
		f.t.Fatalf("the controller ended by itself: %v\n%s", err, stderr.Bytes())
	}
}

// controller is one that performs so many more actions of each runtime; 0 is any number.
func (f *field) controller(more int) *exec.Cmd {
	args := append([]string{"-state", f.state, "-sandboxd", f.sandboxd, "-more", strconv.Itoa(more), "-cut", strconv.Itoa(f.cut),
		"-seed", strconv.FormatUint(f.random.Uint64(), 10), "-backend", f.name()}, f.args()...)
	for _, id := range f.ids {
		args = append(args, fmt.Sprintf("%s=%d", id, len(f.told[id])+1))
	}
	return exec.Command(f.program, args...)
}

// listen takes down what a controller tells, until it dies.
func (f *field) listen(out io.Reader) {
	first := true
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		words := strings.SplitN(lines.Text(), " ", 4)
		if len(words) != 4 {
			continue // cut off in the middle by the kill
		}
		id := sandbox.ID(words[0])
		n, _ := strconv.Atoi(words[1])
		switch word := words[2]; {
		case word == "done", word == "interrupted":
			if n != len(f.told[id])+1 {
				f.t.Errorf("%s was told of %d after %d", id, n, len(f.told[id]))
			}
			f.told[id][n] = word
			if first {
				first = false
				close(f.heard)
			}
		case strings.HasPrefix(word, "open:"), strings.HasPrefix(word, "retry:"):
			f.note(word)
			if code := word[strings.IndexByte(word, ':')+1:]; code == "invalid" || code == "internal" || code == "denied" {
				f.t.Errorf("%s %d: %s %s", id, n, word, words[3])
			}
		default:
			f.t.Errorf("%s %d: %s", id, n, word)
		}
	}
}

func (f *field) note(word string) {
	if f.retries == nil {
		f.retries = map[string]int{}
	}
	f.retries[word]++
}

// rage kills sandboxes at random moments, and returns when it is the controller's turn. Most controllers live to see the
// end of an action, some do not.
func (f *field) rage(int) {
	if f.random.IntN(5) > 0 {
		f.awaitWord()
	}
	for {
		time.Sleep(time.Duration(f.random.ExpFloat64() * float64(f.between)))
		f.kills++
		if f.random.IntN(3) == 0 || f.kills >= f.storm.kills {
			return
		}
		if f.kill(f, f.ids[f.random.IntN(len(f.ids))]) {
			f.sandboxKills++
		}
	}
}

func (f *field) awaitWord() {
	select {
	case <-f.heard:
	case <-time.After(time.Minute):
		f.t.Fatalf("a controller came to nothing in a minute: %v", f.retries)
	}
}

// check compares the accounts.
func (f *field) check() {
	store, err := journal.Open(journal.Config{Path: filepath.Join(f.state, "journal.db")})
	if err != nil {
		f.t.Fatal(err)
	}
	defer store.Close()
	total, interrupted := 0, 0
	for _, id := range f.ids {
		ran := f.effects(id)
		seen := f.events(store, id)
		for n, word := range f.told[id] {
			total++
			switch {
			case word == "done" && ran[n] != 1:
				f.t.Errorf("%s: action %d was acknowledged and ran %d times", id, n, ran[n])
			case seen[n] != word:
				f.t.Errorf("%s: action %d was told as %s, the journal says %q", id, n, word, seen[n])
			}
			if word == "interrupted" {
				interrupted++
			}
		}
		for n, times := range ran {
			if times > 1 {
				f.t.Errorf("%s: action %d ran %d times", id, n, times)
			}
		}
	}
	f.t.Logf("%d actions, %d of them interrupted; %d kills, %d of them of sandboxes; asked again: %v",
		total, interrupted, f.kills, f.sandboxKills, f.retries)
	if total < f.storm.kills {
		f.t.Errorf("only %d actions in all: the storm left no time for any", total)
	}
}

// effects counts how often each number was written.
func (f *field) effects(id sandbox.ID) map[int]int {
	b, err := os.ReadFile(filepath.Join(f.state, f.name(), string(id), "workspace", "numbers"))
	if err != nil {
		f.t.Fatal(err)
	}
	ran := map[int]int{}
	for line := range strings.Lines(string(b)) {
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			f.t.Errorf("%s: a line of %q", id, line)
		}
		ran[n]++
	}
	return ran
}

// events reads the journal of one runtime: numbers without a gap, one action and one observation for each.
func (f *field) events(store *journal.Journal, id sandbox.ID) map[int]string {
	actions, seen := map[int]int{}, map[int]string{}
	var last uint64
	for {
		records, err := store.Read(context.Background(), id, last, 1000)
		if err != nil {
			f.t.Fatal(err)
		}
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			if r.Seq != last+1 {
				f.t.Errorf("%s: event %d follows %d", id, r.Seq, last)
			}
			last = r.Seq
			n, err := strconv.Atoi(strings.TrimPrefix(r.ActionID, "n-"))
			if err != nil {
				continue // set-up
			}
			switch r.Type {
			case journal.TypeAction:
				if actions[n]++; actions[n] > 1 {
					f.t.Errorf("%s: action %d is on record twice", id, n)
				}
			case journal.TypeObservation:
				if seen[n] != "" {
					f.t.Errorf("%s: action %d has two observations", id, n)
				}
				seen[n] = "done"
				if bytes.Contains(r.Body, []byte(`"error_id":"interrupted"`)) {
					seen[n] = "interrupted"
				}
			}
		}
	}
	return seen
}
