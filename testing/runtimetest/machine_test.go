package runtimetest_test

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/runtimetest"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// A machine is a sandboxd and where it runs.
type machine struct {
	want      runtimetest.Want
	openHands bool     // it is started as OpenHands' launchers do
	ordinary  bool     // by a user other than root
	busybox   string   // in a root directory with this and nothing else
	more      []string // arguments

	root, work, key  string // root is a directory of the host; work is as the sandbox calls it
	network, address string
	cmd              *exec.Cmd
	ended            chan struct{}
	log              record
}

// ordinaryID is a user and group that nobody is.
const ordinaryID = 54321

// systemPath is where programs are that every user may run: a test's own PATH may lead into somebody's home.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// patience is how long a sandboxd may take to start or stop on a machine that does much else.
const patience = 30 * time.Second

// start makes what the machine needs, and starts its sandboxd.
func (m *machine) start(t *testing.T) {
	t.Helper()
	var err error
	if m.root, err = os.MkdirTemp("", "rt-"); err != nil { // t.TempDir is too long for a socket
		t.Fatal(err)
	}
	if err := os.Chmod(m.root, 0o755); err != nil { // others run in it
		t.Fatal(err)
	}
	m.key = "the key"
	t.Cleanup(func() {
		m.stop(t)
		if t.Failed() {
			t.Logf("sandboxd said:\n%s", m.log.String())
		}
		if err := os.RemoveAll(m.root); err != nil {
			t.Error(err)
		}
	})
	m.work = m.inside("work")
	for _, dir := range []string{"home", "state", "work", "homes", "tmp"} {
		if err := os.Mkdir(filepath.Join(m.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if m.busybox != "" {
		m.furnish(t)
	}
	if m.ordinary {
		err := filepath.WalkDir(m.root, func(path string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Chown(path, ordinaryID, ordinaryID)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	m.run(t)
}

// inside is the path of what is below root, as the sandbox calls it.
func (m *machine) inside(name string) string {
	if m.busybox != "" {
		return "/" + name
	}
	return filepath.Join(m.root, name)
}

// furnish puts busybox and sandboxd into the root directory.
func (m *machine) furnish(t *testing.T) {
	t.Helper()
	bin := filepath.Join(m.root, "bin")
	err := os.MkdirAll(bin, 0o755)
	for from, to := range map[string]string{m.busybox: "busybox", sandboxdtest.Binary(t): "sandboxd"} {
		if err == nil {
			err = copyProgram(from, filepath.Join(bin, to))
		}
	}
	var applets []byte
	if err == nil {
		applets, err = exec.Command(m.busybox, "--list").Output()
	}
	for _, name := range strings.Fields(string(applets)) {
		if err == nil && name != "busybox" && name != "bash" {
			err = os.Symlink("busybox", filepath.Join(bin, name))
		}
	}
	dev := filepath.Join(m.root, "dev")
	if err == nil {
		err = os.Mkdir(dev, 0o755)
	}
	if err == nil {
		err = syscall.Mknod(filepath.Join(dev, "null"), syscall.S_IFCHR|0o666, 1<<8|3)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func copyProgram(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

// run starts the sandboxd and returns when it answers.
func (m *machine) run(t *testing.T) {
	t.Helper()
	ready, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	program := sandboxdtest.Binary(t)
	m.cmd = exec.Command(program, m.arguments(t)...)
	if m.busybox != "" {
		m.cmd = exec.Command("/bin/sandboxd", m.arguments(t)...)
		m.cmd.Dir, m.cmd.Err = "/", nil
	}
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	switch {
	case m.busybox != "":
		m.cmd.SysProcAttr.Chroot = m.root
	case m.ordinary:
		m.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: ordinaryID, Gid: ordinaryID}
	case m.asUser():
		m.asideOfTheHost(t)
	}
	m.cmd.Env = m.environment()
	m.cmd.ExtraFiles = []*os.File{tell}
	m.cmd.Stdout, m.cmd.Stderr = &m.log, &m.log
	m.cmd.WaitDelay = time.Second
	err = m.cmd.Start()
	tell.Close()
	if err != nil {
		t.Fatal(err)
	}
	cmd, ended := m.cmd, make(chan struct{})
	m.ended = ended
	go func() {
		_ = cmd.Wait() // its state tells
		close(ended)
	}()
	_ = ready.SetReadDeadline(time.Now().Add(patience))
	if n, err := ready.Read(make([]byte, 1)); n != 1 {
		t.Fatalf("sandboxd is not ready: %v\n%s", err, m.log.String())
	}
}

// asUser says whether programs are to run as the user openhands.
func (m *machine) asUser() bool {
	return m.want.User && os.Geteuid() == 0 && !m.ordinary && m.busybox == "" && canUnshare()
}

// canUnshare says whether root may mount here.
var canUnshare = sync.OnceValue(func() bool {
	return exec.Command("unshare", "-m", "true").Run() == nil
})

// asideOfTheHost lets the command see an /etc and a /home of its own: it makes users.
func (m *machine) asideOfTheHost(t *testing.T) {
	t.Helper()
	etc := filepath.Join(m.root, "etc")
	if _, err := os.Stat(etc); err != nil {
		if out, err := exec.Command("cp", "-a", "/etc", etc).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	script := `mount --bind "$1" /etc && mount --bind "$2" /home && shift 2 && exec "$@"`
	args := append([]string{"-m", "sh", "-c", script, "sh", etc, filepath.Join(m.root, "homes"), m.cmd.Path}, m.cmd.Args[1:]...)
	attr := m.cmd.SysProcAttr
	m.cmd = exec.Command("unshare", args...)
	m.cmd.SysProcAttr = attr
}

func (m *machine) environment() []string {
	env := map[string]string{"PATH": systemPath, "HOME": m.inside("home"), "LANG": "C.UTF-8", "SESSION_API_KEY": m.key, "TMPDIR": m.inside("tmp")}
	if m.want.Soft > 0 {
		env["NO_CHANGE_TIMEOUT_SECONDS"] = strconv.Itoa(int(m.want.Soft / time.Second))
	}
	if m.busybox != "" {
		env["PATH"] = "/bin"
	}
	maps.Copy(env, m.want.Env)
	var list []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}

// arguments are those of OpenHands' launchers, or our own.
func (m *machine) arguments(t *testing.T) []string {
	t.Helper()
	args := []string{"--listen", "unix:" + m.inside("sock"), "--ready-fd", "3", "--state-dir", m.inside("state")}
	m.network, m.address = "unix", filepath.Join(m.root, "sock")
	if m.openHands {
		m.network, m.address = "tcp", freeAddress(t)
		_, port, _ := net.SplitHostPort(m.address)
		args = []string{port, "--ready-fd", "3", "--state-dir", m.inside("state")}
	}
	args = append(args, "--working-dir", m.work)
	if m.want.Jupyter {
		args = append(args, "--plugins", "agent_skills", "jupyter")
	}
	if m.asUser() {
		args = append(args, "--username", "openhands", "--user-id", strconv.Itoa(ordinaryID))
	}
	if !m.want.Browser {
		args = append(args, "--no-enable-browser")
	}
	return append(args, m.more...)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", need.Port(t))
}

// stop ends the sandboxd in good order.
func (m *machine) stop(t *testing.T) {
	t.Helper()
	if m.cmd == nil || m.cmd.Process == nil {
		return
	}
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.ended:
	case <-time.After(patience):
		_ = m.cmd.Process.Signal(syscall.SIGQUIT) // for its stacks
		<-m.ended
		t.Error("sandboxd did not stop")
	}
	m.cmd = nil
}

// record keeps what a program says.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%.20000s", r.b.String())
}
