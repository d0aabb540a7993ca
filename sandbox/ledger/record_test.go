package ledger

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

// FuzzFile opens any bytes as a ledger: it must say Invalid or work, and what it then holds must be there again.
func FuzzFile(f *testing.F) {
	record := func(dst []byte, typ byte, id string, content []byte) []byte {
		dst, _ = appendRecord(dst, typ, id, content)
		return append(dst, content...)
	}
	good := record([]byte(magic), recordReceived, "a", make([]byte, 32))
	good = record(good, recordDone, "a", []byte("answer"))
	good = record(good, recordEpoch, "", appendUint64(nil, 9))
	good = record(good, recordGone, "", make([]byte, 32))
	good = record(good, recordReceived, "b", make([]byte, 32))
	f.Add(good)
	f.Add(good[:len(good)-7])
	f.Add([]byte(magic))
	f.Add([]byte("something else"))
	f.Add(record([]byte(magic), recordDone, "never received", nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "l")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(Config{Path: path, Keep: 3, MaxBytes: 100})
		if err != nil {
			if sandbox.CodeOf(err) != sandbox.Invalid {
				t.Fatal(err)
			}
			return
		}
		interrupted := len(l.Interrupted())
		e, fresh, err := l.Begin("fresh-id", [32]byte{1})
		if err == nil && fresh {
			err = e.Done([]byte("new"))
		}
		if err != nil && sandbox.CodeOf(err) != sandbox.Conflict {
			t.Fatal(err)
		}
		epoch, answers := l.epoch, len(l.done)
		l.Close()
		if l, err = Open(Config{Path: path, Keep: 3, MaxBytes: 100}); err != nil {
			t.Fatalf("opened once, but not twice: %v", err)
		}
		defer l.Close()
		if l.epoch != epoch || len(l.done) != answers || fresh && len(l.Interrupted()) != interrupted {
			t.Errorf("epoch %d, %d answers, %d interrupted; were %d, %d, %d", l.epoch, len(l.done), len(l.Interrupted()), epoch, answers, interrupted)
		}
		if fresh {
			if e, ok := l.Lookup("fresh-id"); !ok || !bytes.Equal(e.answer, []byte("new")) {
				t.Error("the new answer is gone")
			}
		}
	})
}

func BenchmarkAction(b *testing.B) {
	l, err := Open(Config{Path: filepath.Join(b.TempDir(), "l")})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	answer := make([]byte, 500)
	b.ReportAllocs()
	for b.Loop() {
		e, _, err := l.Begin(sandbox.NewActionID(), [32]byte{})
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Done(answer); err != nil {
			b.Fatal(err)
		}
	}
}
