package kernel

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/sandtree/sandtree/sandbox"
)

// A bare client of a kernel: another implementation of ZeroMQ, and nothing done with what comes but to look for the end.
type bare struct {
	shell, iopub zmq4.Socket
	signer       signer
	sent         uint64
}

func newBare(t testing.TB, p *process) *bare {
	t.Helper()
	b := &bare{zmq4.NewDealer(context.Background()), zmq4.NewSub(context.Background()), newSigner(p.launch.conn.Key), 0}
	t.Cleanup(func() {
		b.shell.Close()
		b.iopub.Close()
	})
	for i, s := range []zmq4.Socket{b.shell, b.iopub} {
		if err := s.Dial(fmt.Sprintf("ipc://%s-%d", p.launch.conn.IP, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.iopub.SetOption(zmq4.OptionSubscribe, ""); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bare) run(t testing.TB, code string) {
	b.sent++
	id := numbered("bare", b.sent)
	frames, err := b.signer.request(id, "bare", "execute_request", executeRequest{Code: code, Expressions: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.shell.SendMulti(zmq4.NewMsgFrom(frames...)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.shell.Recv(); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := b.iopub.Recv()
		if err != nil {
			t.Fatal(err)
		}
		var parent struct {
			ID string `json:"msg_id"`
		}
		var content struct {
			State string `json:"execution_state"`
		}
		if json.Unmarshal(m.Frames[4], &parent) == nil && parent.ID == id && json.Unmarshal(m.Frames[6], &content) == nil && content.State == "idle" {
			return
		}
	}
}

// BenchmarkCell compares a cell with one of a bare client, on the same kernel and in turn.
func BenchmarkCell(b *testing.B) {
	ks := kernels(b, Config{})
	runCell(b, ks, "1")
	k, _ := ks.existing("")
	other := newBare(b, k.current())
	time.Sleep(100 * time.Millisecond) // its subscription
	var ours, bares []time.Duration
	for b.Loop() {
		begun := time.Now()
		if _, err := ks.Run(b.Context(), "", sandbox.IPythonArgs{Code: "print(1)", IncludeExtra: true}, 0, "/", nil); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, time.Since(begun))
		begun = time.Now()
		other.run(b, "print(1)")
		bares = append(bares, time.Since(begun))
	}
	slices.Sort(ours)
	slices.Sort(bares)
	us := func(all []time.Duration, p int) float64 { return float64(all[len(all)*p/100].Nanoseconds()) / 1e3 }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(us(ours, 50), "cell-p50-µs")
	b.ReportMetric(us(ours, 95), "cell-p95-µs")
	b.ReportMetric(us(bares, 50), "bare-p50-µs")
	b.ReportMetric(us(bares, 95), "bare-p95-µs")
	b.ReportMetric(us(ours, 50)/us(bares, 50), "cell/bare")
}

// BenchmarkStart is the time until a new kernel has performed its first cell.
func BenchmarkStart(b *testing.B) {
	ks := kernels(b, Config{})
	runCell(b, ks, "1")
	for b.Loop() {
		if err := ks.Restart(b.Context(), "", "/"); err != nil {
			b.Fatal(err)
		}
		runCell(b, ks, "1")
	}
}

// BenchmarkOutput is a cell that prints a megabyte.
func BenchmarkOutput(b *testing.B) {
	ks := kernels(b, Config{})
	runCell(b, ks, "x = ('x' * 99 + '\\n') * 10000")
	b.SetBytes(1e6)
	for b.Loop() {
		if got := len(runCell(b, ks, "print(x)")); got != 1e6-1 {
			b.Fatal(got)
		}
	}
}
