package bench

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sandtree/sandtree/bench/result"
	"github.com/sandtree/sandtree/bench/target"
)

// A machine that is at something else starts runtimes for seconds, which must not take the time from what is measured.
func TestALimitIsOfWhatIsMeasured(t *testing.T) {
	for _, sc := range []Scenario{
		{Kind: "latency", Op: "true", Rounds: 1, Samples: 3, Warmup: 1},
		{Kind: "throughput", Op: "true", Mode: "burst", Rounds: 1, Samples: 3, Clients: 1, Runtimes: 1},
		{Kind: "startup", From: "cold", Rounds: 1, Samples: 1, Warmup: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			sc.Limit = Duration(time.Second)
			s := &scene{Scenario: sc, target: sleepy{}, floors: newFloors(nil), of: 1, began: time.Now()}
			if out := s.play(t.Context()); out.Failed != "" || len(out.Series) == 0 || len(out.Series[0].Rounds[0]) != sc.Samples {
				t.Errorf("%s: %+v", sc.Kind, out)
			}
		})
	}
}

// sleepy is a target that takes longer to start than any limit here.
type sleepy struct{}

func (sleepy) About() target.About { return target.About{Name: "sleepy"} }
func (sleepy) Start(context.Context, target.Wish) (target.Runtime, error) {
	time.Sleep(time.Minute)
	return sleepy{}, nil
}
func (sleepy) Close(context.Context) error { return nil }
func (sleepy) ID() string                  { return "sleepy" }
func (sleepy) Run(context.Context, string) (target.Seen, error) {
	time.Sleep(time.Millisecond) // or a median would be 0
	return target.Seen{}, nil
}
func (sleepy) Stop(context.Context) error { return nil }

func TestWhatOnePassHasMeasuredStands(t *testing.T) {
	rounds := [][]float64{{1, 2}}
	measured := func() result.Scenario {
		return result.Scenario{Settings: map[string]string{}, Series: []result.Series{{Name: "latency", Rounds: rounds}}}
	}
	none := result.Scenario{Failed: tooLate, Settings: map[string]string{"stopped at": "5s"}}
	to := measured()
	if join(&to, none, Scenario{Kind: "latency", Limit: Duration(5 * time.Second)}, 1); to.Failed != "" || to.Settings["stopped at"] != "5s" || samples(to) != 2 {
		t.Errorf("%+v", to)
	}
	to = result.Scenario{Settings: map[string]string{}}
	if join(&to, none, Scenario{Kind: "latency", Limit: Duration(5 * time.Second)}, 1); to.Failed != tooLate {
		t.Errorf("nothing was measured, and that is well: %+v", to)
	}
	to = measured()
	if join(&to, result.Scenario{Failed: "it broke"}, Scenario{Kind: "latency", Limit: Duration(5 * time.Second)}, 1); to.Failed != "it broke" {
		t.Errorf("%+v", to)
	}
}
