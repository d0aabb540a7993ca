package ledger_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox/ledger"
)

// childEnv makes the test binary the process that is going to be killed; its value is the ledger's path.
const childEnv = "SANDTREE_TEST_LEDGER"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		child(path)
	}
	os.Exit(m.Run())
}

// child performs actions until it is killed, and says "received N" and "done N" as soon as the ledger has said so.
func child(path string) {
	l, err := ledger.Open(crashConfig(path))
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	for i := len(l.Interrupted()); ; i++ {
		id := fmt.Sprintf("%d-%d", os.Getpid(), i)
		e, _, err := l.Begin(id, body(id))
		if err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		fmt.Println("received", id)
		if err := e.Done(crashAnswer(id)); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		fmt.Println("done", id)
	}
}

func crashConfig(path string) ledger.Config { return ledger.Config{Path: path, Keep: 30} }

// crashAnswer is of a length that depends on id, up to 100 kB, so that both ways of writing occur and the file is
// rewritten every few dozen actions.
func crashAnswer(id string) []byte {
	sum := body(id)
	return bytes.Repeat(sum[:], int(sum[0])*12)
}

func TestKillLosesNothingThatWasSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l")
	received, done := map[string]bool{}, []string{}
	for round := range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			word, id, _ := strings.Cut(lines.Text(), " ")
			switch word {
			case "received":
				received[id] = true
			case "done":
				done = append(done, id)
			default:
				t.Fatalf("the child says %q", lines.Text())
			}
			if n == 40+23*round { // what is said between this and the death is read too
				cmd.Process.Kill()
			}
		}
		cmd.Wait()

		l, err := ledger.Open(crashConfig(path))
		if err != nil {
			t.Fatal(err)
		}
		for id := range received {
			if _, fresh, _ := l.Begin(id, body(id)); fresh {
				t.Fatalf("round %d: %s was received, and would be performed again", round, id)
			}
		}
		for _, id := range done[max(0, len(done)-29):] { // one more may have been done without being said
			wantAnswer(t, l, id, string(crashAnswer(id)))
		}
		for _, id := range l.Interrupted() {
			if err := l.Settle(id, []byte("interrupted")); err != nil {
				t.Error(err)
			}
		}
		l.Close()
	}
	t.Logf("%d actions received, %d done", len(received), len(done))
}
