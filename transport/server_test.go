package transport_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/testing/floor"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/pipenet"
	"github.com/sandtree/sandtree/testing/runtimetest"
	"github.com/sandtree/sandtree/transport"
)

// real serves the server of a sandbox in this process, on a Unix socket, and gives its working directory.
func real(t testing.TB) (dir string, dial transport.Dialer) {
	t.Helper()
	l, dial := unixListener(t)
	return realOn(t, l), dial
}

func realOn(t testing.TB, l net.Listener) (dir string) {
	t.Helper()
	need.Tool(t, "bash")
	dir = t.TempDir()
	s, err := server.New(t.Context(), server.Config{Dir: dir, StateDir: t.TempDir(), Key: "key",
		Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return dir
}

func TestRuntimeContract(t *testing.T) {
	for _, network := range []struct {
		name string
		real func(t *testing.T) transport.Dialer
	}{
		{"unix", func(t *testing.T) transport.Dialer { _, dial := real(t); return dial }},
		{"pipe", func(t *testing.T) transport.Dialer { n := pipenet.Listen(); realOn(t, n); return n.Dial }},
	} {
		t.Run(network.name, func(t *testing.T) {
			runtimetest.Run(t, func(t *testing.T) sandbox.Runtime {
				leak.Check(t)
				return ready(t, network.real(t), transport.Config{Key: "key"})
			})
		})
	}
}

func ready(t testing.TB, dial transport.Dialer, c transport.Config) *transport.Client {
	t.Helper()
	cl := client(t, dial, c)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := cl.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return cl
}

func TestAgainstTheServer(t *testing.T) {
	leak.Check(t)
	dir, dial := real(t)
	c := ready(t, dial, transport.Config{Key: "key", Epoch: 3})
	exit := func(o sandbox.Observation) int { return o.Result.(sandbox.RunResult).Metadata.ExitCode }
	ctx := t.Context()

	t.Run("output", func(t *testing.T) {
		var r recorded
		obs, err := c.Do(ctx, run("out", "for i in 1 2 3; do echo line $i; sleep 0.05; done; false"), r.out)
		if err != nil || exit(obs) != 1 || !strings.Contains(obs.Content, "line 3") || strings.Count(r.text.String(), "line") != 3 || r.jumps != nil {
			t.Errorf("%+v, output %q, jumps %v, error %v", obs, r.text.String(), r.jumps, err)
		}
		again, err := c.Settle(ctx, "out", nil)
		if err != nil || again.Content != obs.Content {
			t.Errorf("settled: %+v, %v", again, err)
		}
	})
	t.Run("codes", func(t *testing.T) {
		_, err := c.Settle(ctx, "never", nil)
		wantCode(t, err, sandbox.NotFound)
		_, err = c.Do(ctx, run("out", "another body"), nil)
		wantCode(t, err, sandbox.Conflict)
		_, err = client(t, dial, transport.Config{Key: "wrong"}).Do(ctx, run("", "true"), nil)
		wantCode(t, err, sandbox.Denied)
		wantCode(t, client(t, dial, transport.Config{Key: "key", Epoch: 2}).Renew(ctx), sandbox.Conflict)
		wantCode(t, c.Get(ctx, "../../etc/shadow", io.Discard), sandbox.Denied)
	})
	t.Run("interrupt", func(t *testing.T) {
		started := make(chan struct{})
		var once sync.Once
		go func() {
			<-started
			if err := c.Interrupt(ctx, "long"); err != nil {
				t.Errorf("interrupt: %v", err)
			}
		}()
		obs, err := c.Do(ctx, run("long", "echo started; sleep 60"), func(int64, []byte) { once.Do(func() { close(started) }) })
		if err != nil || exit(obs) != 130 {
			t.Errorf("%+v, %v", obs, err)
		}
	})
	t.Run("files", func(t *testing.T) {
		if err := c.Put(ctx, "a/b.txt", strings.NewReader("content")); err != nil {
			t.Fatal(err)
		}
		var got, tree strings.Builder
		if err := c.Get(ctx, filepath.Join(dir, "a/b.txt"), &got); err != nil || got.String() != "content" {
			t.Errorf("%q, %v", got.String(), err)
		}
		if err := c.GetTree(ctx, "a", &tree); err != nil {
			t.Fatal(err)
		}
		if err := c.PutTree(ctx, "c", strings.NewReader(tree.String())); err != nil {
			t.Fatal(err)
		}
		if names, err := c.List(ctx, "c"); err != nil || !slices.Equal(names, []string{"b.txt"}) {
			t.Errorf("%q, %v", names, err)
		}
	})
	t.Run("terminal", func(t *testing.T) {
		term, err := c.Terminal(ctx, 90, 33)
		if err != nil {
			t.Fatal(err)
		}
		defer term.Close()
		io.WriteString(term, "stty size; exit 5\n")
		out, err := io.ReadAll(term)
		if code, werr := term.Wait(); err != nil || werr != nil || code != 5 || !strings.Contains(string(out), "33 90") {
			t.Errorf("exit %d, %q, %v, %v", code, out, err, werr)
		}
	})
}

// Each action appends its id to a file, in a real shell, over connections that are cut at random bytes.
func TestExactlyOnceInAShell(t *testing.T) {
	const callers, each = 4, 250
	leak.Check(t)
	dir, dial := real(t)
	c := ready(t, dial, transport.Config{Key: "key"})
	cut := ready(t, pipenet.Cutting(dial, 7, 1500), transport.Config{Key: "key"})
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprintf("x-%d-%d", caller, i)
				obs, err := cut.Do(t.Context(), run(id, "echo "+id+" >> log; echo done "+id), nil)
				for code := sandbox.CodeOf(err); code == sandbox.Unavailable || code == sandbox.Lost; code = sandbox.CodeOf(err) {
					obs, err = c.Do(t.Context(), run(id, "echo "+id+" >> log; echo done "+id), nil)
				}
				if err != nil || obs.Content != "done "+id {
					t.Errorf("%s: %q, %v", id, obs.Content, err)
				}
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(b))
	slices.Sort(lines)
	if n := len(lines); n != callers*each || len(slices.Compact(lines)) != n {
		t.Errorf("%d lines, %d of them different; want %d", n, len(slices.Compact(lines)), callers*each)
	}
	s := cut.Stats()
	t.Logf("%d actions, %d connections, %d retries, of which %d resumes", callers*each, s.Dials, s.Retries, s.Resumes)
}

// BenchmarkTrue is an action through client and server beside the floor, in turns.
func BenchmarkTrue(b *testing.B) {
	_, dial := real(b)
	c := ready(b, dial, transport.Config{Key: "key"})
	floorDial, _ := floor.StartServer(b, floor.Stripped)
	bare, hangUp := floor.Client(floorDial)
	defer hangUp()
	pipe, _ := floor.StartPipe(b)
	ways := []struct {
		name string
		once func() error
	}{
		{"action", func() error { _, err := c.Do(context.Background(), run("", "true"), nil); return err }},
		{"floor", func() error { _, err := bare("true"); return err }},
		{"pipe", func() error { _, err := pipe("true"); return err }},
	}
	took := make([][]time.Duration, len(ways))
	for b.Loop() {
		for i, way := range ways {
			begun := time.Now()
			if err := way.once(); err != nil {
				b.Fatal(way.name, err)
			}
			took[i] = append(took[i], time.Since(begun))
		}
	}
	median := func(i int) float64 { slices.Sort(took[i]); return float64(took[i][len(took[i])/2]) }
	for i, way := range ways {
		b.ReportMetric(median(i)/1000, way.name+"-µs")
	}
	b.ReportMetric(median(0)/median(1), "x-floor")
}

// BenchmarkTransfer moves 64 MiB through client and server, there and back.
func BenchmarkTransfer(b *testing.B) {
	const size = 64 << 20
	_, dial := real(b)
	c := ready(b, dial, transport.Config{Key: "key"})
	b.Run("put", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Put(b.Context(), "f", &zeros{size}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Get(b.Context(), "f", io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
}
