package egress

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/internal/doors"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
)

// inside runs f on a thread that is in a new network namespace with doors, which p serves. Programs that f itself starts
// are in there too.
func (w *world) inside(p *Proxy, f func() error) {
	w.t.Helper()
	need.Root(w.t)
	sets, done := make(chan doors.Set, 1), make(chan error, 1)
	served := make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine, and the namespace with it
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- os.NewSyscallError("unshare", err)
			return
		}
		s, err := doors.Open()
		if err != nil {
			done <- err
			return
		}
		sets <- s
		if s.Missing != nil {
			return
		}
		<-served
		done <- f()
	}()
	select {
	case s := <-sets:
		if s.Missing != nil && !need.Promised("nftables") {
			s.Close()
			w.t.Skip(s.Missing)
		} else if s.Missing != nil {
			w.t.Fatal(s.Missing)
		}
		c, t, d, err := s.Listeners()
		if err == nil {
			err = p.Serve(Doors{Connect: c, Transparent: t, DNS: d})
		}
		if err != nil {
			w.t.Error(err)
		}
		close(served)
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	case err := <-done:
		w.t.Fatal(err)
	}
}

// resolver says whether programs of this machine ask a name server that a redirection can reach.
func resolver(t testing.TB) {
	b, _ := os.ReadFile("/etc/resolv.conf")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "nameserver" {
			if a, err := netip.ParseAddr(f[1]); err == nil && a.Is4() {
				return
			}
		}
	}
	t.Skip("/etc/resolv.conf names no server at an address of IPv4")
}

// Programs that know of no proxy are let out by name all the same.
func TestTransparent(t *testing.T) {
	resolver(t)
	need.Tool(t, "bash")
	w := newWorld(t)
	w.server(echo, "allowed.test", "denied.test")
	w.servers[netip.MustParseAddr("203.0.113.9")] = w.servers[public]
	policy := allowTest
	policy.CIDRs = []string{"203.0.113.0/24"}
	p := w.proxy(Config{Policy: policy})
	w.inside(p, func() error {
		for _, c := range []struct{ host, port, want string }{
			{"allowed.test", "80", "hello"},
			{"203.0.113.9", "8080", "hello"},
			{"denied.test", "80", "not known"},
			{"93.184.216.34", "80", ""},
			{"169.254.169.254", "80", ""},
			{"198.18.77.77", "80", ""},
			{"127.0.0.1", "3129", ""}, // the door itself
			{"127.0.0.1", "22", "refused"},
		} {
			script := fmt.Sprintf(`exec 3<>/dev/tcp/%s/%s || exit; echo hello >&3; read -t 10 -r line <&3; echo "read $line"`, c.host, c.port)
			out, _ := exec.Command("bash", "-c", script).CombinedOutput()
			if !strings.Contains(string(out), c.want) || c.want == "" && strings.Contains(string(out), "hello") {
				t.Errorf("%s port %s: %q, want %q", c.host, c.port, out, c.want)
			}
		}
		return nil
	})
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionOpened, Name: "allowed.test", Addr: public, Port: 80})
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionOpened, Addr: netip.MustParseAddr("203.0.113.9"), Port: 8080})
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionDenied, Name: "denied.test", Why: sandbox.CauseName})
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionDenied, Addr: netip.MustParseAddr("169.254.169.254"), Port: 80, Why: sandbox.CauseAddress})
	w.wait(sandbox.Connection{Kind: sandbox.ConnectionDenied, Addr: netip.MustParseAddr("198.18.77.77"), Port: 80, Why: sandbox.CauseAddress})
}

// What is cut inside is noticed inside at once.
func TestTransparentIsCut(t *testing.T) {
	w := newWorld(t)
	w.server(echo)
	p := w.proxy(Config{})
	w.inside(p, func() error {
		c, err := net.DialTimeout("tcp", public.String()+":80", time.Minute)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintln(c, "hello")
		r := bufio.NewReader(c)
		if line, err := r.ReadString('\n'); line != "hello\n" {
			return fmt.Errorf("read %q, %w", line, err)
		}
		if err := p.SetPolicy(sandbox.Egress{Mode: sandbox.EgressDenyAll}); err != nil {
			return err
		}
		if _, err := r.ReadByte(); err == nil || os.IsTimeout(err) {
			return fmt.Errorf("after the cut: %v", err)
		}
		return nil
	})
}

// BenchmarkTransparent is a connection that is redirected, a line there and a line back; and how many bytes go through.
func BenchmarkTransparent(b *testing.B) {
	w := newWorld(b)
	w.server(echo)
	p := w.proxy(Config{Limits: sandbox.Limits{Network: -1}})
	open := func() (net.Conn, error) { return net.DialTimeout("tcp", public.String()+":80", time.Minute) }
	b.Run("connection", func(b *testing.B) {
		w.inside(p, func() error {
			line := []byte("hello")
			for b.Loop() {
				c, err := open()
				if err != nil {
					return err
				}
				c.Write(line)
				if _, err := io.ReadFull(c, line); err != nil {
					return err
				}
				c.Close()
			}
			return nil
		})
	})
	b.Run("bytes", func(b *testing.B) {
		w.inside(p, func() error {
			c, err := open()
			if err != nil {
				return err
			}
			defer c.Close()
			const size = 1 << 20
			b.SetBytes(2 * size) // there and back
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				io.CopyN(c, zeros{}, int64(b.N)*size)
			}()
			b.ResetTimer()
			_, err = io.CopyN(io.Discard, c, int64(b.N)*size)
			<-sent
			return err
		})
	})
}
