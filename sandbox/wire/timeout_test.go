package wire_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// What a timeout may be is the same in both forms.
func TestTimeouts(t *testing.T) {
	huge := strings.Repeat("9", 400)
	for _, c := range []struct {
		in   string
		want time.Duration
		err  string // in the error; "" if there is none
	}{
		{in: "null"},
		{in: "0"},
		{in: "-0.0"},
		{in: "10", want: 10 * time.Second},
		{in: "2.5", want: 2500 * time.Millisecond},
		{in: "1e1", want: 10 * time.Second},
		{in: "-1", want: -time.Second},
		{in: "1e-400", want: 0}, // no double is that small but 0
		{in: "1e-300", want: 1},
		{in: "-1e-300", want: -1},
		{in: "1e300", want: math.MaxInt64},
		{in: "-1e300", want: math.MinInt64},
		{in: "99999999999999", want: math.MaxInt64},
		{in: "1e400", err: "must be a number of seconds up to"},
		{in: "-1e400", err: "must be a number of seconds up to"},
		{in: huge, err: "must be a number of seconds up to"},
		{in: "-" + huge + ".5", err: "must be a number of seconds up to"},
		{in: `"5"`, err: "must be a number of seconds, not a string"},
		{in: `"Infinity"`, err: "must be a number of seconds, not a string"},
		{in: "[1]", err: "must be a number of seconds, not a list"},
		{in: "true", err: "must be a number of seconds, not a boolean"},
		{in: "Infinity", err: "not JSON"},
		{in: "-Infinity", err: "not JSON"},
		{in: "NaN", err: "not JSON"},
		{in: "1e", err: "not JSON"},
	} {
		for form, parse := range map[string]func() (sandbox.Action, error){
			"OpenHands": func() (sandbox.Action, error) {
				return wire.ParseAction(fmt.Appendf(nil, `{"action":"run","args":{"command":"a"},"timeout":%s}`, c.in))
			},
			"native": func() (sandbox.Action, error) {
				return wire.ParseNativeAction(fmt.Appendf(nil, `{"type":"run","content":{"command":"a"},"timeout":%s}`, c.in))
			},
		} {
			a, err := parse()
			switch {
			case c.err == "" && (err != nil || a.Timeout != c.want):
				t.Errorf("%.20s in the %s form: %d ns, %v, want %d", c.in, form, a.Timeout, err, c.want)
			case c.err != "" && (sandbox.CodeOf(err) != sandbox.Invalid || !strings.Contains(err.Error(), c.err) || len(err.Error()) > 300):
				t.Errorf("%.20s in the %s form: %v, want %q in it", c.in, form, err, c.err)
			}
		}
	}
}
