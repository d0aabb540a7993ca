package sandbox

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestLimitsCheck(t *testing.T) {
	for _, l := range []Limits{
		{}, {CPU: -1, Memory: -1, Disk: -1, Processes: -1}, {CPUShares: 2, Swappiness: 100, Swap: 1},
		{Affinity: "0-3,7", Ports: "1-65535"}, {Memory: -1, Swap: -1},
	} {
		if err := l.Check(); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
	for name, l := range map[string]Limits{
		"cpu: ":        {CPU: math.NaN()},
		"cpu_shares: ": {CPUShares: -1},
		"swappiness: ": {Swappiness: 101},
		"swap: ":       {Swap: 1, Memory: -1},
		"processes: ":  {Processes: 1<<22 + 1},
		"affinity: ":   {Affinity: "0-"},
		"ports: ":      {Ports: "0-80"},
	} {
		if err := l.Check(); err == nil || !strings.HasPrefix(err.Error(), name) {
			t.Errorf("%+v: want an error that begins with %q, have %v", l, name, err)
		}
	}
}

func TestParseRanges(t *testing.T) {
	got, err := ParseRanges("80,443,8000-8999", 1, 65535)
	if want := []Range{{80, 80}, {443, 443}, {8000, 8999}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("have %v, %v, want %v", got, err, want)
	}
	for n, in := range map[int]bool{80: true, 81: false, 8000: true, 8999: true, 9000: false, 0: false} {
		if Has(got, n) != in {
			t.Errorf("%d is in %v: %v", n, got, !in)
		}
	}
	for _, bad := range []string{",", "1,", "-", "1-", "-1", "2-1", "1--2", "+1", "a", "1 ", "65536", "0", "99999999999999999999", strings.Repeat("1,", 256) + "1"} {
		if got, err := ParseRanges(bad, 1, 65535); err == nil {
			t.Errorf("%.20q: have %v", bad, got)
		}
	}
}
