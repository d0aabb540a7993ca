package local_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/floor"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// bareServer is the least that a Go program can do which serves HTTP on a Unix socket and says when it does.
const bareServer = `package main

import (
	"net"
	"net/http"
	"os"
)

func main() {
	l, err := net.Listen("unix", os.Args[1])
	if err != nil {
		panic(err)
	}
	os.NewFile(3, "ready").Write([]byte{1})
	http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("ok")) }))
}
`

// BenchmarkStart is the time from nothing to the first observation, of `true`, next to the time from nothing to the
// first answer of a bare Go HTTP server, taken alternately in the same run. x/floor is the ratio of the medians.
func BenchmarkStart(b *testing.B) {
	bare := buildFloor(b)
	d, err := local.New(local.Config{StateDir: b.TempDir(), Sandboxd: sandboxdtest.Binary(b)})
	if err != nil {
		b.Fatal(err)
	}
	backend := backends.Open("local", d, backends.Config{})
	defer backend.Close()
	var ours, theirs []time.Duration
	for b.Loop() {
		ours = append(ours, startSandbox(b, backend))
		theirs = append(theirs, startFloor(b, bare))
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	us, them := ours[len(ours)/2], theirs[len(theirs)/2]
	b.ReportMetric(float64(us.Microseconds()), "µs/first-observation")
	b.ReportMetric(float64(them.Microseconds()), "µs/floor")
	floor.Bound(b, float64(us)/float64(them), "×floor", 3)
}

func startSandbox(b *testing.B, backend *backends.Backend) time.Duration {
	begun := time.Now()
	s, err := backend.Start(b.Context(), sandbox.Spec{ID: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := s.Do(b.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: "true"}}, nil); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begun)
	if err := s.Stop(b.Context(), time.Minute); err != nil {
		b.Fatal(err)
	}
	return took
}

func buildFloor(b *testing.B) string {
	dir := b.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte(bareServer), 0o600); err != nil {
		b.Fatal(err)
	}
	program := filepath.Join(dir, "floor")
	build := exec.Command("go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return program
}

func startFloor(b *testing.B, program string) time.Duration {
	sock := filepath.Join(b.TempDir(), "sock")
	begun := time.Now()
	ready, tell, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program, sock)
	cmd.ExtraFiles = []*os.File{tell}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	tell.Close()
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	ready.Close()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", sock)
	}}}
	r, err := client.Get("http://floor/")
	if err != nil {
		b.Fatal(err)
	}
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	took := time.Since(begun)
	client.CloseIdleConnections()
	cmd.Process.Kill()
	cmd.Wait()
	return took
}
