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

// BenchmarkHealthy is the time from nothing to the first 200 of /alive: the shell has read its files by then and takes
// commands. Next to it, in turn, is the time to the first answer of a bare Go HTTP server, which has no shell, and of
// the floor's, which has started a bash on a terminal first. The ratios are of the medians.
func BenchmarkHealthy(b *testing.B) {
	program := sandboxdtest.Binary(b)
	bare, shelled := buildFloor(b), buildProgram(b, "github.com/sandtree/sandtree/testing/floor/server")
	var ours, theirs, shells []time.Duration
	for b.Loop() {
		ours = append(ours, startHealthy(b, program))
		theirs = append(theirs, startFloor(b, bare))
		shells = append(shells, startShelled(b, shelled))
	}
	us, bareOne, shelledOne := micro(median(ours)), micro(median(theirs)), micro(median(shells))
	b.ReportMetric(bareOne, "µs/floor")
	b.ReportMetric(shelledOne, "µs/floor+bash")
	b.ReportMetric(us, "µs/sandboxd")
	b.ReportMetric(0, "ns/op")
	floor.Bound(b, us/shelledOne, "×floor+bash", 2)
	floor.Bound(b, us/bareOne, "×floor", 3.5)
}

func startHealthy(b *testing.B, program string) time.Duration {
	socket, begun, stop := execute(b, program)
	defer stop()
	get(b, socket, "http://sandbox/alive")
	return time.Since(begun)
}

// startShelled starts the floor's server.
func startShelled(b *testing.B, program string) time.Duration {
	sock := filepath.Join(b.TempDir(), "sock")
	begun := time.Now()
	cmd := exec.Command(program, sock, floor.Ordinary)
	ready, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // it ends when this does
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	get(b, sock, "http://floor/alive")
	took := time.Since(begun)
	cmd.Process.Kill()
	cmd.Wait()
	return took
}

// get makes one request over a connection of its own, which must be answered with 200.
func get(b *testing.B, socket, url string) {
	b.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	r, err := client.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s, %v", url, r.Status, err)
	}
}

// startServer executes a sandboxd and has it perform one command.
func startServer(b *testing.B, program string) time.Duration {
	b.Helper()
	socket, begun, stop := execute(b, program)
	defer stop()
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
	return time.Since(begun)
}

// execute starts a sandboxd in a directory of its own, at the time that it returns, and waits until it says that it is
// ready.
func execute(b *testing.B, program string) (socket string, begun time.Time, stop func()) {
	b.Helper()
	dir, err := os.MkdirTemp("", "st") // a socket's path is short
	if err != nil {
		b.Fatal(err)
	}
	work := filepath.Join(dir, "work")
	socket = filepath.Join(dir, "s")
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
	begun = time.Now()
	err = cmd.Start()
	w.Close()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != nil {
		b.Fatalf("sandboxd is not ready: %v", err)
	}
	return socket, begun, func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait(), os.RemoveAll(dir)); err != nil {
			b.Fatal(err)
		}
	}
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
	return buildProgram(b, source)
}

// buildProgram builds a package, or a file of one.
func buildProgram(b *testing.B, source string) string {
	b.Helper()
	program := filepath.Join(b.TempDir(), "program")
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
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	tell.Close()
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	ready.Close()
	get(b, sock, "http://floor/")
	took := time.Since(begun)
	cmd.Process.Kill()
	cmd.Wait()
	return took
}
