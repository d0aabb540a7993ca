package wire_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

var update = flag.Bool("update", false, "rewrite the outcomes in testdata")

// A golden file is a script: lines that begin with '#' or are empty are for people; '>' is an event that comes in; then
// '=' is how it goes out again, or '!' the code and text with which it is refused.

// golden runs the files of a folder; outcome gives the line that must follow an input.
func golden(t *testing.T, folder string, outcome func(in []byte) string) {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s, %v", folder, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for line := range strings.Lines(string(b)) {
				if strings.HasPrefix(line, "=") || strings.HasPrefix(line, "!") {
					continue
				}
				out.WriteString(line)
				if in, ok := strings.CutPrefix(line, "> "); ok {
					out.WriteString(outcome([]byte(strings.TrimSuffix(in, "\n"))) + "\n")
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			wantLines(t, out.String(), string(b))
		})
	}
}

func wantLines(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g) || i >= len(w):
			t.Errorf("%d lines, want %d", len(g), len(w))
			return
		case g[i] != w[i]:
			t.Errorf("line %d\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
}

func refused(err error) string { return "! " + err.Error() }

func TestActions(t *testing.T) {
	golden(t, "actions", func(in []byte) string {
		a, err := wire.ParseAction(in)
		if err != nil {
			return refused(err)
		}
		out := wire.AppendAction(nil, a)
		again, err := wire.ParseAction(out)
		if err != nil || !reflect.DeepEqual(a, again) {
			t.Errorf("%s\nreads as %+v\nand again as %+v, %v", in, a, again, err)
		}
		sameEvent(t, in)
		return "= " + string(out)
	})
}

func TestObservations(t *testing.T) {
	golden(t, "observations", func(in []byte) string {
		o, err := wire.ParseObservation(in)
		if err != nil {
			return refused(err)
		}
		out := wire.AppendObservation(nil, o)
		again, err := wire.ParseObservation(out)
		if err != nil || !reflect.DeepEqual(o, again) {
			t.Errorf("%s\nreads as %+v\nand again as %+v, %v", in, o, again, err)
		}
		sameEvent(t, in)
		return "= " + string(out)
	})
}

// sameEvent checks that the Event codec changes nothing.
func sameEvent(t *testing.T, in []byte) {
	t.Helper()
	e, err := wire.ParseEvent(in)
	if err != nil {
		t.Errorf("%s: %v", in, err)
		return
	}
	out := e.Append(nil)
	if !reflect.DeepEqual(decode(t, in), decode(t, out)) {
		t.Errorf("the event changed\nfrom %s\n  to %s", in, out)
	}
}

func decode(t *testing.T, b []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Errorf("%s: %v", b, err)
	}
	return v
}

// goldens gives every input in a folder of testdata, to begin fuzzing with.
func goldens(f testing.TB, folder string) (all [][]byte) {
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.txt"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if in, ok := strings.CutPrefix(line, "> "); ok {
				all = append(all, []byte(strings.TrimSuffix(in, "\n")))
			}
		}
	}
	return all
}

func wantCode(t testing.TB, err error, want sandbox.Code) {
	t.Helper()
	if got := sandbox.CodeOf(err); got != want {
		t.Errorf("code %q, want %q (%v)", got, want, err)
	}
}
