package jail_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/jail"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/need"
	"github.com/sandtree/sandtree/testing/sandboxdtest"
)

// changed says whether a file has been told to have changed so.
func changed(records []sandbox.AuditRecord, path string, how sandbox.FileChangeKind) bool {
	return slices.ContainsFunc(records, func(r sandbox.AuditRecord) bool {
		return r.Kind == sandbox.AuditChanged && slices.Contains(r.Changes, sandbox.FileChange{Path: path, Change: how})
	})
}

// TestAuditChanges changes files of a workspace that has some, with traps for whoever looks at it.
func TestAuditChanges(t *testing.T) {
	h := newHeard()
	b := audited(t, t.TempDir(), h)
	ends(t, b, "x")
	dir := t.TempDir()
	for _, name := range []string{"kept", "old", "doomed"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := began(t, b, sandbox.Spec{ID: "x", Workspace: dir, Audit: sandbox.Audit{Files: sandbox.AuditFilesChanged}})
	run(t, s, "echo more >>old; rm doomed; mkdir -p deep/er; echo x >deep/er/new; ln -s / root; mkfifo pipe; ln -s . loop; chmod 600 kept")
	h.until(t, "the changes", func(all []sandbox.AuditRecord) bool {
		return changed(all, "old", sandbox.FileModified) && changed(all, "doomed", sandbox.FileRemoved) && changed(all, "deep/er/new", sandbox.FileAdded) &&
			changed(all, "root", sandbox.FileAdded) && changed(all, "pipe", sandbox.FileAdded) && changed(all, "kept", sandbox.FileModified)
	})
	run(t, s, "rm -r deep")
	all := h.until(t, "what was removed", func(all []sandbox.AuditRecord) bool { return changed(all, "deep/er/new", sandbox.FileRemoved) })
	for _, r := range all {
		if r.Kind != sandbox.AuditChanged || r.Cut || r.Untold != 0 {
			t.Errorf("told was %+v", r)
		}
	}
}

// TestAuditFiles uses files: each use is told, by whom and of what.
func TestAuditFiles(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the calls are told by the numbers that one processor has")
	}
	h := newHeard()
	b := audited(t, t.TempDir(), h)
	ends(t, b, "x")
	s := began(t, b, sandbox.Spec{ID: "x", Audit: sandbox.Audit{Files: sandbox.AuditFilesAll, Rate: sandbox.MaxAuditRate}})
	run(t, s, python(`
import ctypes, os
libc = ctypes.CDLL(None)
os.mkdir("d")
d = os.open("d", os.O_DIRECTORY)
open("made", "w").close()
open("/etc/hostname").close()
os.rename("made", "moved", dst_dir_fd=d)
os.chmod("d/moved", 0o640)
os.symlink("nowhere", "d/link")
os.unlink("link", dir_fd=d)
libc.syscall(85, b"created", 0o600)  # creat
os.close(os.open("created", os.O_RDONLY | os.O_TRUNC))
f = os.open("created", os.O_RDWR)
os.truncate("created", 7)
os.ftruncate(f, 8)
os.posix_fallocate(f, 0, 9)
os.link("created", "second")
os.utime("second", (1, 1))
os.utime(f, (2, 2))
os.fchmod(f, 0o600)
os.chown("second", -1, -1)
os.mkfifo("fifo")
try:
    os.setxattr(f, "user.x", b"1")
except OSError:
    pass
libc.syscall(437, -100, b"second", 0, 0)  # openat2
libc.syscall(304, d, 0, 2)  # open_by_handle_at
try:
    os.chmod("d/moved", 0o4755)
except PermissionError:
    open("refused", "w").close()`))
	all := h.until(t, "the last file", func(all []sandbox.AuditRecord) bool {
		return slices.ContainsFunc(all, func(r sandbox.AuditRecord) bool { return r.Path == "/workspace/refused" })
	})
	const made = "/workspace/created"
	for _, want := range []sandbox.AuditRecord{
		{Call: "mkdir", Path: "/workspace/d", Write: true},
		{Call: "openat", Path: "/workspace/made", Write: true},
		{Call: "openat", Path: "/etc/hostname"},
		{Call: "renameat", Path: "/workspace/made", To: "/workspace/d/moved", Write: true},
		{Call: "chmod", Path: "/workspace/d/moved", Write: true, Numbers: []uint64{0o640}},
		{Call: "symlink", Path: "nowhere", To: "/workspace/d/link", Write: true},
		{Call: "unlinkat", Path: "/workspace/d/link", Write: true},
		{Call: "creat", Path: made, Write: true},
		{Call: "openat", Path: made, Write: true}, // to cut it, and to write to it
		{Call: "truncate", Path: made, Write: true, Numbers: []uint64{7}},
		{Call: "ftruncate", Path: made, Write: true, Numbers: []uint64{8}},
		{Call: "fallocate", Path: made, Write: true, Numbers: []uint64{0, 0, 9}},
		{Call: "link", Path: made, To: "/workspace/second", Write: true},
		{Call: "utimensat", Path: "/workspace/second", Write: true},
		{Call: "utimensat", Path: made, Write: true},
		{Call: "fchmod", Path: made, Write: true, Numbers: []uint64{0o600}},
		{Call: "mknodat", Path: "/workspace/fifo", Write: true},
		{Call: "fsetxattr", Path: made, To: "user.x", Write: true},
		{Call: "openat2", Path: "/workspace/second", Denied: "ENOSYS"},
		{Call: "open_by_handle_at", Path: "/workspace/d", Write: true, Denied: "EPERM"},
	} {
		some := of(all, func(r sandbox.AuditRecord) bool {
			return r.Kind == sandbox.AuditFile && r.Call == want.Call && r.Path == want.Path && r.To == want.To && r.Write == want.Write &&
				slices.Equal(r.Numbers, want.Numbers) && r.Denied == want.Denied
		})
		if n := len(some); n != 1 && (n != 2 || want.Call != "openat" || want.Path != made) {
			t.Errorf("%+v is told %d times in%s", want, n, words(all))
		}
	}
}

// TestAuditLimits runs into limits.
func TestAuditLimits(t *testing.T) {
	need.Root(t)
	h := newHeard()
	b := audited(t, t.TempDir(), h)
	ends(t, b, "x")
	s := began(t, b, sandbox.Spec{ID: "x", Limits: sandbox.Limits{Memory: 128 << 20, Processes: 20}, Audit: sandbox.Audit{Limits: true}})
	hit := func(limit string) func([]sandbox.AuditRecord) bool {
		return func(all []sandbox.AuditRecord) bool {
			return slices.ContainsFunc(all, func(r sandbox.AuditRecord) bool { return r.Kind == sandbox.AuditLimit && r.Limit == limit })
		}
	}
	run(t, s, "python3 -c 'x = bytearray(400 << 20)'; true")
	h.until(t, "the end of memory", hit(backends.LimitMemory))
	run(t, s, "(for i in $(seq 100); do sleep 1000 & done) 2>/dev/null; true")
	h.until(t, "the end of processes", hit(backends.LimitProcesses))
}

// TestAuditDisk fills a disk.
func TestAuditDisk(t *testing.T) {
	need.Root(t)
	need.Jail(t)
	need.Tool(t, "mkfs.ext4")
	h := newHeard()
	d, err := jail.New(jail.Config{StateDir: t.TempDir(), Sandboxd: sandboxdtest.Binary(t), Storage: "image", OnAudit: h.tell})
	if err != nil {
		t.Fatal(err)
	}
	b := backends.Open("jail", d, backends.Config{})
	ends(t, b, "x")
	s := began(t, b, sandbox.Spec{ID: "x", Limits: sandbox.Limits{Disk: 64 << 20}, Audit: sandbox.Audit{Limits: true, Files: sandbox.AuditFilesChanged}})
	run(t, s, "dd if=/dev/zero of=full bs=1M 2>/dev/null; true")
	h.until(t, "the end of the disk", func(all []sandbox.AuditRecord) bool {
		return changed(all, "full", sandbox.FileAdded) &&
			slices.ContainsFunc(all, func(r sandbox.AuditRecord) bool { return r.Limit == backends.LimitDisk })
	})
}
