package doors

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/testing/leak"
	"github.com/sandtree/sandtree/testing/need"
)

// inside runs f on a thread that is in a new network namespace and ends with f. What f starts is there too, as long as f
// itself starts it.
func inside(t testing.TB, f func() error) error {
	t.Helper()
	need.Root(t)
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- os.NewSyscallError("unshare", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// pair is the two ends of a control socket.
func pair(t testing.TB) (int, *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "control")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return fds[0], c.(*net.UnixConn)
}

func accept(t testing.TB, l net.Listener) net.Conn {
	t.Helper()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func original(t testing.TB, c net.Conn) netip.AddrPort {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var sa *unix.IPv6Mreq // of the size of a sockaddr_in
	if err2 := raw.Control(func(fd uintptr) { sa, err = unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, unix.SO_ORIGINAL_DST) }); err2 != nil || err != nil {
		t.Fatal(err, err2)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(sa.Multiaddr[4:8])), uint16(sa.Multiaddr[2])<<8|uint16(sa.Multiaddr[3]))
}

func TestDoors(t *testing.T) {
	leak.Check(t)
	send, receive := pair(t)
	kept := make(chan Set, 1)
	err := inside(t, func() error {
		s, err := Open()
		if err != nil {
			return err
		}
		kept <- s
		if s.Missing != nil {
			return errMissing
		}
		if err := s.Send(send); err != nil {
			return err
		}
		if _, err := Open(); !errors.Is(err, unix.EADDRINUSE) {
			return fmt.Errorf("a second set: %v", err)
		}
		script := `exec 3<>/dev/tcp/203.0.113.9/4433; echo elsewhere >&3
			exec 4<>/dev/tcp/127.0.0.1/3128; echo proxy >&4
			exec 5<>/dev/udp/9.9.9.9/53; printf question >&5; head -c 6 <&5 >&2
			exec 6<>/dev/tcp/127.0.0.1/80 || true
			(exec 7<>/dev/udp/9.9.9.9/443; printf x >&7; sleep 0.01; printf x >&7) || true
			cat <&3; cat <&4`
		cmd := exec.Command("bash", "-c", script)
		cmd.Stderr = os.Stderr
		out := &strings.Builder{}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			return err
		}
		outside(t, receive)
		err = cmd.Wait()
		for _, want := range []string{"answer", "80: Connection refused", "write error: Connection refused", "bye elsewhere", "bye proxy"} {
			if !strings.Contains(out.String(), want) {
				return fmt.Errorf("no %q in %q, %v", want, out, err)
			}
		}
		return nil
	})
	if errors.Is(err, errMissing) {
		cannotRedirect(t, (<-kept).Missing)
	}
	if err != nil {
		t.Fatal(err)
	}
	(<-kept).Close()
}

var errMissing = errors.New("doors are missing")

// cannotRedirect skips a test where the kernel lacks nf_tables, unless it was promised.
func cannotRedirect(t *testing.T, err error) {
	t.Helper()
	if need.Promised("nftables") {
		t.Fatal(err)
	}
	t.Skip(err)
}

// outside accepts at the doors what TestDoors' program does inside.
func outside(t *testing.T, control *net.UnixConn) {
	s, err := Receive(control)
	if err != nil {
		t.Fatal(err)
	}
	connect, transparent, dns, err := s.Listeners()
	if err != nil {
		t.Fatal(err)
	}
	defer connect.Close()
	defer transparent.Close()
	defer dns.Close()
	line := func(c net.Conn, want string) {
		b := make([]byte, 64)
		if n, err := c.Read(b); string(b[:n]) != want+"\n" {
			t.Errorf("read %q, %v, want %q", b[:n], err, want)
		}
		fmt.Fprintf(c, "bye %s\n", want)
	}
	c := accept(t, transparent)
	if got := original(t, c); got != netip.MustParseAddrPort("203.0.113.9:4433") {
		t.Errorf("it was on its way to %v", got)
	}
	line(c, "elsewhere")
	c.Close()
	c = accept(t, connect)
	line(c, "proxy")
	c.Close()
	b := make([]byte, 64)
	dns.SetDeadline(time.Now().Add(time.Minute))
	n, from, err := dns.ReadFrom(b)
	if err != nil || string(b[:n]) != "question" {
		t.Errorf("read %q, %v", b[:n], err)
	}
	dns.WriteTo([]byte("answer"), from)
}

// A namespace that somebody else has made, and one that had doors before.
func TestOpenIn(t *testing.T) {
	leak.Check(t)
	need.Root(t)
	need.Tool(t, "nsenter", "bash")
	if err := alone(); err == nil || !strings.Contains(err.Error(), "cut it off") { // before OpenIn is trusted with anything
		t.Fatalf("the host's own network: %v", err)
	}
	if _, err := OpenIn("/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	other := exec.Command("sleep", "100")
	other.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	defer other.Process.Kill()
	namespace := fmt.Sprintf("/proc/%d/ns/net", other.Process.Pid)
	for range 2 {
		s, err := OpenIn(namespace)
		if err != nil {
			t.Fatal(err)
		}
		if s.Missing != nil {
			cannotRedirect(t, s.Missing)
		}
		other, err := OpenIn(namespace) // as another process does before the first has ended
		if err != nil {
			t.Fatalf("while they are open: %v", err)
		}
		other.Close()
		connect, transparent, dns, err := s.Listeners()
		if err != nil {
			t.Fatal(err)
		}
		dial := exec.Command("nsenter", "--net="+namespace, "bash", "-c", "exec 3<>/dev/tcp/203.0.113.9/4433")
		if err := dial.Start(); err != nil {
			t.Fatal(err)
		}
		if got := original(t, accept(t, transparent)); got != netip.MustParseAddrPort("203.0.113.9:4433") {
			t.Errorf("it was on its way to %v", got)
		}
		dial.Wait()
		connect.Close()
		transparent.Close()
		dns.Close()
	}
}

func TestReceiveRefuses(t *testing.T) {
	leak.Check(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	listener, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	l, n := int(listener.Fd()), int(null.Fd())
	for name, fds := range map[string][]int{"none": nil, "two": {l, l}, "four": {l, l, l, l}, "a file": {n}, "no packets": {l, l, l}} {
		send, receive := pair(t)
		if err := unix.Sendmsg(send, []byte("-"), unix.UnixRights(fds...), nil, 0); err != nil {
			t.Fatal(err)
		}
		if s, err := Receive(receive); err == nil {
			t.Errorf("%s: have %+v", name, s)
			s.Close()
		}
	}
	send, receive := pair(t)
	if err := (Set{Connect: listener, Missing: errors.New("no nf_tables")}).Send(send); err != nil {
		t.Fatal(err)
	}
	s, err := Receive(receive)
	if err != nil || s.Transparent != nil || s.Missing == nil || s.Missing.Error() != "no nf_tables" {
		t.Fatalf("have %+v, %v", s, err)
	}
	if c, tr, d, err := s.Listeners(); err != nil || tr != nil || d != nil {
		t.Errorf("%v, %v, %v, %v", c, tr, d, err)
	} else {
		c.Close()
	}
}

func TestKeep(t *testing.T) {
	leak.Check(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	door, err := tcp.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	kept := make(chan error, 1)
	s := Set{Connect: door, Missing: errors.New("-")}
	defer s.Close()
	go func() { kept <- s.Keep(l) }()
	for range 3 {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Receive(c)
		if err != nil {
			t.Fatal(err)
		}
		got.Close()
		c.Close()
	}
	l.Close()
	if err := <-kept; err != nil {
		t.Error(err)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{20, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{255, 255, 255, 255, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) { answers(b) })
}

// BenchmarkOpen is what the doors add to the start of a sandbox, besides the namespace itself.
func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		err := inside(b, func() error {
			b.StartTimer()
			s, err := Open()
			b.StopTimer()
			s.Close()
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
