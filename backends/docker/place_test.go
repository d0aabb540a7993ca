package docker

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/volume"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/dockerd"
)

// TestBareImage has an image with a bash and busybox, and nothing of the host.
func TestBareImage(t *testing.T) {
	c := testConfig(t)
	c.Image, c.Mounts = dockerd.Image, nil
	_, b := opened(t, c)
	s, _ := started(t, b, sandbox.Spec{ID: "bare"})
	prints(t, s, "pwd; echo $HOME; hostname; ls -a /workspace | wc -l", "/workspace\n/home/sandbox\nsandbox\n2")
}

func TestMounts(t *testing.T) {
	c := testConfig(t)
	dirs := map[string]string{}
	for _, mode := range []string{"rw", "ro", "overlay"} {
		dirs[mode] = t.TempDir()
		if err := os.WriteFile(filepath.Join(dirs[mode], "file"), []byte("host\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dirs[mode], 0o777); err != nil {
			t.Fatal(err)
		}
		c.Mounts = append(c.Mounts, dirs[mode]+":/mnt/"+mode+":"+mode)
	}
	name := "sandtree-test-" + sandbox.RandomHex(4)
	c.Mounts = append(c.Mounts, "volume:"+name+":/mnt/volume", name+":/mnt/again:ro")
	c.User = "0"
	engine := dockerd.Client(t, c.Host)
	t.Cleanup(func() {
		if err := engine.VolumeRemove(context.Background(), name, true); err != nil {
			t.Error(err)
		}
	})
	d, b := opened(t, c)
	s, i := started(t, b, sandbox.Spec{ID: "mounts"})
	prints(t, s, "cat /mnt/rw/file /mnt/ro/file /mnt/overlay/file", "host\nhost\nhost")
	prints(t, s, "echo inside >/mnt/rw/new; echo inside >/mnt/overlay/new; rm /mnt/overlay/file; ls /mnt/overlay", "new")
	refused(t, s, "echo inside >/mnt/ro/new", "Read-only")
	prints(t, s, "echo kept >/mnt/volume/file; cat /mnt/again/file", "kept")
	refused(t, s, "echo x >/mnt/again/other", "Read-only")
	for mode, want := range map[string]string{"rw": "file new", "ro": "file", "overlay": "file"} {
		entries, err := os.ReadDir(dirs[mode])
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("on the host %s has %q, %v; want %q", mode, got, err, want)
		}
	}
	// Revived, what was written over is there; stopped, it is gone, and the named volume stays.
	if err := i.Halt(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, _ = started(t, b, sandbox.Spec{ID: "mounts"})
	prints(t, s, "ls /mnt/overlay", "new")
	if err := s.Stop(t.Context(), time.Second); err != nil {
		t.Fatal(err)
	}
	volumes, err := engine.VolumeList(t.Context(), volume.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Volumes {
		if v.Options["type"] == "overlay" {
			t.Errorf("left: %+v", v)
		}
	}
	s, _ = started(t, b, sandbox.Spec{ID: "mounts"})
	prints(t, s, "ls /mnt/overlay; cat /mnt/volume/file", "file\nkept")
	_ = d
}

// TestPublishedPorts has a port of the range taken by somebody else.
func TestPublishedPorts(t *testing.T) {
	c := testConfig(t)
	if c.Network = bridged(t, c.Host); c.Network == "" {
		t.Skip("the engine has no bridge")
	}
	taken, first := takenPort(t)
	c.Publish, c.PortRange = []string{"3000"}, fmt.Sprintf("%d-%d", first, first+9)
	_, b := opened(t, c)
	seen := map[string]bool{}
	for _, id := range []sandbox.ID{"a", "b"} {
		s, i := started(t, b, sandbox.Spec{ID: id})
		run(t, s, `python3 -c '
import http.server, os
if os.fork(): os._exit(0)
os.setsid()
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(b"`+string(id)+`")
    def log_message(s, *a): pass
h = http.server.HTTPServer(("", 3000), H); open("up", "w").close()
h.serve_forever()' >/dev/null 2>&1; while ! [ -e up ]; do sleep 0.05; done`)
		ports, err := i.Ports(t.Context())
		address := ports["3000/tcp"]
		if err != nil || address == "" || seen[address] || strings.HasSuffix(address, fmt.Sprintf(":%d", taken)) {
			t.Fatalf("published at %v, %v; %d is taken", ports, err, taken)
		}
		seen[address] = true
		conn, err := net.DialTimeout("tcp", address, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		reply := make([]byte, 1024)
		n := 0
		for {
			m, err := conn.Read(reply[n:])
			if n += m; err != nil {
				break
			}
		}
		conn.Close()
		if !strings.HasSuffix(string(reply[:n]), "\r\n\r\n"+string(id)) {
			t.Errorf("%s answers %q", id, reply[:n])
		}
	}
}

// takenPort takes a port that nothing prevents the nine after it from being free.
func takenPort(t *testing.T) (taken, first int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	taken = l.Addr().(*net.TCPAddr).Port
	if taken > 65000 {
		t.Skip("there is no room above the port")
	}
	return taken, taken
}

// bridged is the network by which containers have published ports.
func bridged(t *testing.T, host string) string {
	t.Helper()
	for _, n := range must(dockerd.Client(t, host).Info(t.Context())).Plugins.Network {
		if n == "bridge" {
			return "bridge"
		}
	}
	return ""
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestReachedByPort has an engine that shares no files with this program, as far as the driver knows, and one that shares
// files but no sockets.
func TestReachedByPort(t *testing.T) {
	for _, reach := range []string{reachPort, reachRemote} {
		t.Run(reach, func(t *testing.T) {
			c := testConfig(t)
			c.Reach, c.Network = reach, bridged(t, c.Host)
			c.Image, c.Mounts = dockerd.Image, nil
			_, b := opened(t, c)
			s, i := started(t, b, sandbox.Spec{ID: "port", Env: map[string]string{"A": "b"}})
			prints(t, s, "pwd; echo $A $HOME; touch x ~/y && id -u", "/workspace\nb /home/sandbox\n1000")
			if err := i.Halt(t.Context()); err != nil {
				t.Fatal(err)
			}
			s, _ = started(t, b, sandbox.Spec{ID: "port", Epoch: 1})
			prints(t, s, "echo $(ls) $(ls ~)", "x y")
			again, err := b.Attach(t.Context(), "port", 2)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			prints(t, again, "echo $A", "")
		})
	}
}

func TestLabels(t *testing.T) {
	c := testConfig(t)
	d, b := opened(t, c)
	_, i := started(t, b, sandbox.Spec{ID: "labels", Owner: "me", Epoch: 3})
	shown := must(d.engine.ContainerInspect(t.Context(), i.container.id))
	for name, want := range map[string]string{"sandtree.id": "labels", "sandtree.owner": "me", "sandtree.epoch": "3", "sandtree.system": d.system} {
		if got := shown.Config.Labels[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if shown.HostConfig.RestartPolicy.Name != container.RestartPolicyDisabled || !strings.HasPrefix(shown.Name, "/sandtree-labels-") {
		t.Errorf("%s, %+v", shown.Name, shown.HostConfig.RestartPolicy)
	}
	// A container whose home was removed by hand is listed and can be removed.
	i.label.Container = ""
	if err := os.RemoveAll(string(i.home)); err != nil {
		t.Fatal(err)
	}
	if l := must(d.List(t.Context(), "me")); len(l) != 1 || l[0].ID != "labels" || !l[0].Exited || l[0].Epoch != 3 {
		t.Errorf("listed as %+v", l)
	}
	if err := b.Remove(t.Context(), "labels", backends.AnyEpoch, 0); err != nil {
		t.Fatal(err)
	}
	if l := must(d.List(t.Context(), "")); len(l) != 0 {
		t.Errorf("left: %+v", l)
	}
}

func TestLogs(t *testing.T) {
	_, b := opened(t, testConfig(t))
	s, i := started(t, b, sandbox.Spec{ID: "logs"})
	r, err := i.Logs(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	buf := make([]byte, 4096)
	n, err := r.Read(buf)
	if err != nil || !strings.Contains(string(buf[:n]), "ready") {
		t.Errorf("it says %q, %v", buf[:n], err)
	}
	if err := s.Stop(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	var rest strings.Builder
	for err == nil {
		n, err = r.Read(buf)
		rest.Write(buf[:n])
	}
	if !strings.Contains(rest.String(), "stopping") {
		t.Errorf("it says %q until %v", rest.String(), err)
	}
}
