package local

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/leak"
)

// controller is a program that starts a sandbox, says so and waits to be killed.
func controller() int {
	d, err := New(Config{StateDir: os.Getenv("LOCAL_STATE"), Sandboxd: os.Getenv("LOCAL_SANDBOXD")})
	if err == nil {
		_, err = d.Start(context.Background(), sandbox.Spec{ID: "x", Owner: "me"})
	}
	fmt.Println(err)
	select {}
}

// TestControllerKilled kills the process that started a sandbox, and everything in its process group as a terminal would.
func TestControllerKilled(t *testing.T) {
	leak.Check(t)
	dir := t.TempDir()
	d := opened(t, dir, "serve")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "LOCAL_STUB=controller", "LOCAL_STATE="+dir, "LOCAL_SANDBOXD="+d.config.Sandboxd)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "<nil>\n" {
		t.Fatalf("the controller says %q, %v", line, err)
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()

	l, err := d.List(t.Context(), "me")
	if err != nil || len(l) != 1 || l[0].Exited {
		t.Errorf("listed as %+v, %v", l, err)
	}
	inst, err := d.Attach(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	i := inst.(*instance)
	said(t, i)
	if err := i.Stop(t.Context(), time.Minute); err != nil {
		t.Error(err)
	}
	// It is nobody's child here, so how it ended is not known, but that it did is.
	if exit, err := i.Wait(t.Context()); err != nil || exit.Code != -1 || exit.Reason == "" {
		t.Errorf("Wait: %+v, %v", exit, err)
	}
}
