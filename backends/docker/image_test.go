package docker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
)

// fromRegistry is a configuration whose image is in a registry of this test, and not yet in the engine.
func fromRegistry(t *testing.T, user, password string) (Config, *registryServer) {
	t.Helper()
	c := testConfig(t)
	r := newRegistry(t, user, password)
	c.Image, c.Pull = r.Image(), ""
	t.Cleanup(func() { removeImage(t, c.Host, c.Image) })
	return c, r
}

// removeImage removes an image, if it is there, and those that it was built from.
func removeImage(t *testing.T, host, name string) {
	t.Helper()
	_, err := dockerd.Client(t, host).ImageRemove(context.Background(), name, image.RemoveOptions{Force: true, PruneChildren: true})
	if err != nil && !errdefs.IsNotFound(err) {
		t.Error(err)
	}
}

func TestPullMissing(t *testing.T) {
	c, r := fromRegistry(t, "", "")
	var mu sync.Mutex
	var told []backends.Progress
	c.OnProgress = func(p backends.Progress) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, p)
	}
	_, b := opened(t, c)
	var wg sync.WaitGroup
	for _, id := range []sandbox.ID{"a", "b", "c"} { // they share one pull
		wg.Go(func() {
			s, err := b.Start(t.Context(), sandbox.Spec{ID: id})
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	wg.Wait()
	if n := r.manifests.Load(); n != 1 {
		t.Errorf("the image was asked for %d times", n)
	}
	mu.Lock()
	defer mu.Unlock()
	if n := len(told); n == 0 || !told[n-1].Ended || told[n-1].Err != nil || told[n-1].Step != backends.StepPull || told[n-1].Image != c.Image {
		t.Errorf("told was %+v", told)
	}
}

func TestPullAlways(t *testing.T) {
	c, r := fromRegistry(t, "", "")
	c.Pull = PullAlways
	_, b := opened(t, c)
	for _, id := range []sandbox.ID{"a", "b"} {
		started(t, b, sandbox.Spec{ID: id})
	}
	if n := r.manifests.Load(); n != 2 {
		t.Errorf("the image was asked for %d times", n)
	}
}

func TestPullRefused(t *testing.T) {
	c, r := fromRegistry(t, "me", "secret")
	for name, test := range map[string]struct {
		set  func(*Config)
		code sandbox.Code
		text string
	}{
		"never":         {func(c *Config) { c.Pull = PullNever }, sandbox.Invalid, "never pulled"},
		"no password":   {func(c *Config) {}, sandbox.Denied, "pull"},
		"no such image": {func(c *Config) { c.Image += "-or-other"; c.Auth = r.auth() }, sandbox.Invalid, "pull"},
		"no registry":   {func(c *Config) { c.Image = "127.0.0.1:1/x" }, sandbox.Unavailable, "pull"},
	} {
		t.Run(name, func(t *testing.T) {
			c := c
			test.set(&c)
			d, _ := opened(t, c)
			_, err := d.Start(t.Context(), sandbox.Spec{ID: "x"})
			if sandbox.CodeOf(err) != test.code || !strings.Contains(err.Error(), test.text) {
				t.Errorf("code %q, want %q: %v", sandbox.CodeOf(err), test.code, err)
			}
			if l, _ := d.List(t.Context(), ""); len(l) != 0 {
				t.Errorf("refused, and there: %+v", l)
			}
		})
	}
}

func TestPullWithPassword(t *testing.T) {
	c, r := fromRegistry(t, "me", "secret")
	c.Auth = r.auth()
	_, b := opened(t, c)
	started(t, b, sandbox.Spec{ID: "x"})
}

func TestLoginFile(t *testing.T) {
	dir := t.TempDir()
	err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"auths": {"https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0"},
		"ghcr.io": {"auth": "eW91OnRvbzpsb25n"}, "kept.example": {}}, "credHelpers": {"kept.example": "sandtree-test-missing"}}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Config{Environ: []string{"DOCKER_CONFIG=" + dir}, Auth: map[string]Auth{"own.example": {Token: "t"}}}.readAuths()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]string{"docker.io": {"me", "secret"}, "ghcr.io": {"you", "too:long"}} {
		if got := a.known[name]; got.Username != want[0] || got.Password != want[1] {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if a.known["own.example"].IdentityToken != "t" {
		t.Errorf("%+v", a.known)
	}
	for image, has := range map[string]bool{"alpine": true, "ghcr.io/a/b:1": true, "other.example/a": false} {
		if auth, err := a.forImage(t.Context(), image); err != nil || (auth != "") != has {
			t.Errorf("%s: %q, %v", image, auth, err)
		}
	}
	if _, err := a.forImage(t.Context(), "kept.example/a"); sandbox.CodeOf(err) == "" {
		t.Error("the program that keeps the password is missing, and nobody says so")
	}
}

func TestBuild(t *testing.T) {
	c := testConfig(t)
	d, _ := opened(t, c)
	dir := t.TempDir()
	for name, content := range map[string]string{
		"Dockerfile":    "FROM " + dockerd.Image + "\nARG WHAT\nCOPY . /built/\nRUN echo $WHAT >/built/what\n",
		"file":          "hello",
		"left-out":      "x",
		".dockerignore": "left-out\n",
		"Broken":        "FROM " + dockerd.Image + "\nRUN exit 3\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	tag := "sandtree-test/built:" + sandbox.RandomHex(4)
	name, err := d.Build(t.Context(), backends.Build{Dir: dir, Tags: []string{tag}, Args: map[string]string{"WHAT": "that"},
		Output: func(line string) { lines = append(lines, line) }})
	if err != nil || name != tag {
		t.Fatalf("%q, %v", name, err)
	}
	t.Cleanup(func() { removeImage(t, c.Host, tag) })
	if text := strings.Join(lines, "\n"); !strings.Contains(text, "RUN echo $WHAT") {
		t.Errorf("the build says %q", text)
	}
	c.Image, c.Mounts = tag, nil
	_, b := opened(t, c)
	s, _ := started(t, b, sandbox.Spec{ID: "built"})
	prints(t, s, "cat /built/file /built/what; ls /built", "hellothat\nBroken      Dockerfile  file        what")

	_, err = d.Build(t.Context(), backends.Build{Dir: dir, Dockerfile: "Broken"})
	if sandbox.CodeOf(err) != sandbox.Invalid || !strings.Contains(err.Error(), "returned a non-zero code: 3") {
		t.Errorf("a build that fails: %v", err)
	}
	for _, b := range []backends.Build{{Dir: dir, Dockerfile: "missing"}, {Dir: dir, Dockerfile: "../x"}, {Dir: filepath.Join(dir, "none")}} {
		if _, err := d.Build(t.Context(), b); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%+v: %v", b, err)
		}
	}
}
