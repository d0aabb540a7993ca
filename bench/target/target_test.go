package target_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sandtree/sandtree/bench/target"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

func TestMain(m *testing.M) { os.Exit(dockerd.Main(m)) }

// contract is what every target can, or says that it cannot.
func contract(t *testing.T, tg target.Target) {
	t.Helper()
	ctx := t.Context()
	if about := tg.About(); about.Name == "" || about.Kind == "" {
		t.Errorf("it is %+v", about)
	}
	rt, err := tg.Start(ctx, target.Wish{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		command, output string
		code            int
	}{
		{"echo hello", "hello", 0}, {"exit_with() { return $1; }; exit_with 3", "", 3}, {"echo one; echo 'two  spaces' \"$((6 * 7))\"", "one\ntwo  spaces 42", 0},
	} {
		seen, err := rt.Run(ctx, c.command)
		if err != nil || strings.TrimSpace(strings.ReplaceAll(seen.Output, "\r", "")) != c.output || seen.Exit != c.code || seen.Interrupted {
			t.Errorf("%s: %+v, %v", c.command, seen, err)
		}
	}
	if files, ok := rt.(target.Files); ok {
		for _, content := range []string{"short", strings.Repeat("long ", 20_000)} {
			if err := files.Write(ctx, "a file", []byte(content)); err != nil {
				t.Error(err)
			}
			if n, err := files.Read(ctx, "a file"); err != nil || n < int64(len(content)) {
				t.Errorf("%d of %d bytes were read: %v", n, len(content), err)
			}
		}
		if _, err := files.Read(ctx, "no file"); err == nil {
			t.Error("what is not there was read")
		}
	}
	if _, err := tg.Start(ctx, target.Wish{From: "nothing"}); err == nil {
		t.Error("it began with a snapshot that is not there")
	}
	if err := rt.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := tg.Close(ctx); err != nil {
		t.Error(err)
	}
	if err := tg.Close(ctx); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestExec(t *testing.T) {
	need.Tool(t, "bash")
	t.Setenv("TMPDIR", t.TempDir())
	contract(t, target.Exec())
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestTemplate(t *testing.T) {
	need.Tool(t, "bash")
	for _, line := range []string{"bash -c {command}", "bash -c", `bash -c 'true; {command}'`} {
		tg, err := target.Template(line)
		if err != nil {
			t.Fatal(err)
		}
		contract(t, tg)
	}
	for _, line := range []string{"", "  ", "ssh 'host"} {
		if _, err := target.Template(line); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestACommandThatIsNotThere(t *testing.T) {
	tg, err := target.Template("/there/is/none {command}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tg.Start(t.Context(), target.Wish{}); sandbox.CodeOf(err) != sandbox.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestDockerExec(t *testing.T) {
	docker := need.Tool(t, "docker")
	host := dockerd.Host(t)
	dockerd.MakeImages(t, host)
	t.Setenv("DOCKER_HOST", host)
	name := "bench-" + sandbox.RandomHex(4)
	if out, err := exec.Command(docker, "run", "-d", "--rm", "--network", "none", "--tmpfs", "/tmp", "--name", name, dockerd.Image,
		"bash", "-c", "while :; do read -t 60 </dev/zero; done").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer exec.Command(docker, "rm", "-f", name).Run()
	if out, err := exec.Command(docker, "exec", name, "sh", "-c", "type mktemp cat mv rm").CombinedOutput(); err != nil {
		t.Skipf("the image that is at hand lacks programs: %s", out)
	}
	contract(t, target.DockerExec(docker, name))
}

// A server of ours speaks the protocol, so it is one like any other.
func TestOpenHands(t *testing.T) {
	leak.Check(t)
	address := serve(t)
	tg, err := target.NewOpenHands("the key", "http://"+address+"/")
	if err != nil {
		t.Fatal(err)
	}
	contract(t, tg)
	rt, err := tg.Start(t.Context(), target.Wish{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tg.Start(t.Context(), target.Wish{}); sandbox.CodeOf(err) != sandbox.Unsupported {
		t.Errorf("one server is two runtimes: %v", err)
	}
	seen, err := rt.Run(t.Context(), "pwd")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(strings.TrimSpace(seen.Output), "a file") // which the contract wrote
	files, editor := rt.(target.Files), rt.(target.Editor)
	if err := files.Write(t.Context(), "a file", []byte("before\n")); err != nil {
		t.Fatal(err)
	}
	if err := editor.Edit(t.Context(), path, "before", "after"); err != nil {
		t.Error(err)
	}
	if seen, err := rt.Run(t.Context(), "cat 'a file'"); err != nil || strings.TrimSpace(seen.Output) != "after" {
		t.Errorf("%+v, %v", seen, err)
	}
	if err := editor.Edit(t.Context(), path, "nothing of the kind", "x"); err == nil {
		t.Error("an edit that was refused is no error")
	}
	if err := tg.Close(t.Context()); err != nil {
		t.Error(err)
	}
	wrong, err := target.NewOpenHands("another key", "http://"+address)
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close(context.Background())
	if rt, err := wrong.Start(t.Context(), target.Wish{}); err == nil {
		if _, err = rt.Run(t.Context(), "true"); sandbox.CodeOf(err) != sandbox.Denied {
			t.Errorf("with another key: %v", err)
		}
	}
	for _, url := range []string{"localhost:3000", "ftp://localhost", "http://", ":"} {
		if _, err := target.NewOpenHands("", url); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// serve starts a sandboxd as launchers of OpenHands do, on a port.
func serve(t *testing.T) (address string) {
	t.Helper()
	port := need.Port(t)
	dir := t.TempDir()
	cmd := exec.Command(sandboxdtest.Binary(t), strconv.Itoa(port), "--working-dir", dir)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "SESSION_API_KEY=the key"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		cmd.Wait()
		timer.Stop()
	})
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
