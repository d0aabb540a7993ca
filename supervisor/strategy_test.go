package supervisor

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/actors/kit"
	"github.com/sandtree/sandtree/sandbox"
)

var update = flag.Bool("update", false, "rewrite the scripts in testdata with what happens")

// A script is a file of deaths and of the effects that they must cause, which reads like what an operator would see:
//
//	policy intensity=3 window=1m base=1s cap=4s     (also: random=0.5, spent=giveup)
//	children a b/transient c/temporary
//	0s  a boom    -> begin a in 500ms (1 of 3)
//
// A child that ends for good leaves the list. The cause "normal" is a clean end, "fatal" one that no restart mends.
func TestScripts(t *testing.T) {
	for name, make := range map[string]func(Restart) kit.Strategy{
		"one_for_one": OneForOne, "one_for_all": OneForAll, "rest_for_one": RestForOne,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name+".txt")
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := play(string(want), make)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s is not what happens:\n%s", path, diff(string(want), got))
			}
		})
	}
}

type player struct {
	restart  Restart
	random   float64
	children []kit.Child
	history  kit.History
}

func play(script string, make func(Restart) kit.Strategy) (string, error) {
	p := &player{}
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		words := strings.Fields(line)
		var err error
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "policy":
			*p = player{restart: Restart{Fatal: func(err error) bool { return err.Error() == "fatal" }}}
			err = p.policy(words[1:])
		case words[0] == "children":
			p.history = nil
			p.children, err = children(words[1:])
		default:
			event, _, _ := strings.Cut(line, "->")
			event = strings.TrimRight(event, " ")
			var effects string
			if effects, err = p.death(strings.Fields(event), make(p.restart)); err == nil {
				line = fmt.Sprintf("%-18s -> %s", event, effects)
			}
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", line, err)
		}
		fmt.Fprintln(&out, line)
	}
	return out.String(), nil
}

func (p *player) policy(words []string) (err error) {
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		var e error
		switch k {
		case "intensity":
			p.restart.Intensity, e = strconv.Atoi(v)
		case "window":
			p.restart.Window, e = time.ParseDuration(v)
		case "base":
			p.restart.Base, e = time.ParseDuration(v)
		case "cap":
			p.restart.Cap, e = time.ParseDuration(v)
		case "random":
			p.random, e = strconv.ParseFloat(v, 64)
		case "spent":
			p.restart.Spent = GiveUp
		default:
			e = fmt.Errorf("unknown word %q", k)
		}
		err = errors.Join(err, e)
	}
	return errors.Join(err, p.restart.Check())
}

func children(words []string) (out []kit.Child, err error) {
	for _, w := range words {
		name, kind, _ := strings.Cut(w, "/")
		k := slices.Index([]string{"", "transient", "temporary"}, kind)
		if k < 0 {
			return nil, fmt.Errorf("unknown kind %q", kind)
		}
		out = append(out, kit.Child{Name: name, Kind: kit.Kind(k)})
	}
	return out, nil
}

func (p *player) death(words []string, s kit.Strategy) (string, error) {
	if len(words) != 3 {
		return "", errors.New("want a time, a child and a cause")
	}
	at, err := time.ParseDuration(words[0])
	if err != nil {
		return "", err
	}
	who := slices.IndexFunc(p.children, func(c kit.Child) bool { return c.Name == words[1] })
	if who < 0 {
		return "", errors.New("no such child")
	}
	d := kit.Death{Children: slices.Clone(p.children), Who: who, Why: errors.New(words[2]), At: time.Unix(0, 0).Add(at), Random: p.random}
	if words[2] == "normal" {
		d.Why = kit.ErrNormal
	}
	var said []string
	for _, e := range s(d, slices.Clone(p.history)) {
		child := d.Children[e.Child].Name
		text := e.Op.String() + " " + child
		if e.After > 0 {
			text += " in " + e.After.String()
		}
		if e.Attempt > 0 {
			text += fmt.Sprintf(" (%d of %d)", e.Attempt, e.Of)
		}
		said = append(said, text)
		switch {
		case e.Op == kit.Begin && e.Child == who:
			p.history = append(p.history, kit.Restart{Child: child, At: d.At})
		case e.Op == kit.End:
			p.children = slices.DeleteFunc(p.children, func(c kit.Child) bool { return c.Name == child })
		}
	}
	return strings.Join(said, ", "), nil
}

func diff(want, got string) string {
	var out strings.Builder
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			fmt.Fprintf(&out, "line %d\n- %s\n+ %s\n", i+1, w[i], g[i])
		}
	}
	return out.String()
}

func TestBackoff(t *testing.T) {
	r := Restart{Base: time.Second, Cap: 10 * time.Second}.filled()
	for _, c := range []struct {
		n      int
		random float64
		want   time.Duration
	}{
		{0, 0, 500 * time.Millisecond},
		{0, 0.5, 750 * time.Millisecond},
		{1, 0, time.Second},
		{2, 0, 2 * time.Second},
		{3, 0, 4 * time.Second},
		{4, 0, 5 * time.Second}, // 16 s would be more than the cap
		{4, 0.999999999, 10 * time.Second},
		{1 << 20, 0, 5 * time.Second}, // no overflow
	} {
		if got := r.backoff(c.n, c.random).Round(time.Millisecond); got != c.want {
			t.Errorf("backoff(%d, %v) = %v, want %v", c.n, c.random, got, c.want)
		}
	}
	if got := (Restart{Base: -1}).filled().backoff(7, 0.5); got != 0 {
		t.Errorf("a negative base waits %v", got)
	}
}

func TestRestartCheck(t *testing.T) {
	for name, r := range map[string]Restart{
		"restart.intensity": {Intensity: kit.HistoryKept + 1},
		"restart.window":    {Window: -1},
		"restart.cap":       {Base: time.Second, Cap: time.Millisecond},
	} {
		err := r.Check()
		if e, ok := errors.AsType[*sandbox.Error](err); !ok || e.Code != sandbox.Invalid || e.Op != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (Restart{}).Check(); err != nil {
		t.Error(err)
	}
}
