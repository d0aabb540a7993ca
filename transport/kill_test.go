package transport_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
	"github.com/sandtree/sandtree/transport"
	"github.com/sandtree/sandtree/transport/breaker"
)

// The server is killed and started again under its clients, who see no more of it than that an action was interrupted:
// one that was not has run once, one that was, once or not at all, and never later.
func TestTheServerIsKilled(t *testing.T) {
	const kills = 15
	need.Tool(t, "bash")
	leak.Check(t)
	b := sandboxdtest.Start(t)
	c := ready(t, b.Dial, transport.Config{Key: b.Key, Epoch: 1, Retry: transport.Retry{Cap: 50 * time.Millisecond},
		Breaker: breaker.Config{Cooldown: 50 * time.Millisecond}})
	stop, stopped := make(chan struct{}), make(chan struct{})
	alive := make(chan struct{}, 1) // an action has ended
	var said []string               // by the number of the action
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				said = append(said, persist(t, c, i))
			}
			select {
			case alive <- struct{}{}:
			default:
			}
		}
	}()
	for range kills {
		<-alive
		<-alive
		time.Sleep(time.Duration(rand.N(50)) * time.Millisecond) // the moment of death is what is drawn here
		b.Kill()
		b.Start()
	}
	close(stop)
	<-stopped
	log, err := os.ReadFile(filepath.Join(b.Dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]int{}
	for _, id := range strings.Fields(string(log)) {
		ran[id]++
	}
	interrupted := 0
	for i, outcome := range said {
		n := ran[fmt.Sprint("k", i)]
		if outcome == "interrupted" {
			interrupted++
		}
		if outcome == "done" && n != 1 || outcome == "interrupted" && n > 1 {
			t.Errorf("action %d was %s and ran %d times", i, outcome, n)
		}
	}
	t.Logf("%d actions, %d interrupted, %d kills, %+v", len(said), interrupted, kills, c.Stats())
}

// persist performs an action that appends its number, and tells how it ended.
func persist(t *testing.T, c *transport.Client, i int) string {
	id := fmt.Sprint("k", i)
	for {
		obs, err := c.Do(t.Context(), run(id, "echo "+id+" >> log; sleep 0.01"), nil)
		switch code := sandbox.CodeOf(err); {
		case code == sandbox.Unavailable || code == sandbox.Lost:
			time.Sleep(10 * time.Millisecond) // the breaker is open: somebody else decides how long to wait
			continue
		case err != nil:
			t.Errorf("%s: %v", id, err)
			return "failed"
		case obs.Interrupted():
			return "interrupted"
		}
		return "done"
	}
}
