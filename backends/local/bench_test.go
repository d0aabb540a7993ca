package local_test

import (
	"context"
	"errors"
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
	"github.com/sandtree/sandtree/transport"
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

// BenchmarkStart is the time from nothing to the first observation, of `true`: of a sandboxd that is executed, and of a
// sandbox of the driver, which has a control group, a home and a label besides. Next to it, in turn, is the time from
// nothing to the first answer of a bare Go HTTP server. The ratios are of the medians.
func BenchmarkStart(b *testing.B) {
	bare, program := buildFloor(b), sandboxdtest.Binary(b)
	d, err := local.New(local.Config{StateDir: b.TempDir(), Sandboxd: program})
	if err != nil {
		b.Fatal(err)
	}
	backend := backends.Open("local", d, backends.Config{})
	defer backend.Close()
	var server, placed, theirs []time.Duration
	for b.Loop() {
		server = append(server, startServer(b, program))
		theirs = append(theirs, startFloor(b, bare))
		placed = append(placed, startSandbox(b, backend))
	}
	them := median(theirs)
	b.ReportMetric(micro(them), "µs/floor")
	b.ReportMetric(micro(median(server)), "µs/sandboxd")
	b.ReportMetric(micro(median(placed)), "µs/sandbox")
	b.ReportMetric(0, "ns/op")
	floor.Bound(b, micro(median(server))/micro(them), "×floor", 3)
	floor.Bound(b, micro(median(placed))/micro(them), "×floor-sandbox", 5)
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// startServer executes a sandboxd and has it perform one command.
func startServer(b *testing.B, program string) time.Duration {
	b.Helper()
	dir, err := os.MkdirTemp("", "st") // a socket's path is short
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	work, socket := filepath.Join(dir, "work"), filepath.Join(dir, "s")
	if err := errors.Join(os.Mkdir(work, 0o700), os.WriteFile(filepath.Join(dir, "key"), []byte("key"), 0o600)); err != nil {
		b.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(program, "--listen", "unix:"+socket, "--working-dir", work, "--state-dir", filepath.Join(dir, "state"),
		"--key-file", filepath.Join(dir, "key"), "--keep", "--ready-fd", "3")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	cmd.ExtraFiles = []*os.File{w}
	begun := time.Now()
	err = cmd.Start()
	w.Close()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != nil {
		b.Fatalf("sandboxd is not ready: %v", err)
	}
	client, err := transport.New(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}, transport.Config{Key: "key"})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Do(b.Context(), sandbox.Action{Args: sandbox.RunArgs{Command: "true"}}, nil); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begun)
	if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
		b.Fatal(err)
	}
	return took
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
