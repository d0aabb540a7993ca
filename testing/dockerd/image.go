package dockerd

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/client"

	"github.com/sandtree/sandtree/testing/need"
)

// Image is an image of bash and busybox, made of the host's.
const Image = "sandtree-test/bash:latest"

// Host's programs: an image that has only the skeleton of a file system, for containers that see the host's programs.
const Skeleton = "sandtree-test/skeleton:latest"

var (
	making sync.Mutex
	made   = map[madeImage]bool{}
)

type madeImage struct{ host, name string }

// MakeImages sees to it that the engine has the images of this package.
func MakeImages(t testing.TB, host string) {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	c := Client(t, host)
	for name, files := range map[string]func(testing.TB) []byte{Image: bashFiles, Skeleton: skeletonFiles} {
		if _, err := c.ImageInspect(t.Context(), name); err == nil {
			continue
		}
		r, err := c.ImageImport(t.Context(), image.ImportSource{Source: bytes.NewReader(files(t)), SourceName: "-"}, name,
			image.ImportOptions{Changes: []string{"ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		made[madeImage{host, name}] = true
	}
}

// removeImages removes those that MakeImages has put into engines which are not private: from those nothing else would.
func removeImages() error {
	making.Lock()
	defer making.Unlock()
	var failed error
	for m := range made {
		c, err := client.NewClientWithOpts(client.WithHost(m.host), client.WithAPIVersionNegotiation())
		if err == nil {
			_, err = c.ImageRemove(context.Background(), m.name, image.RemoveOptions{Force: true})
			c.Close()
		}
		failed = errors.Join(failed, err)
	}
	clear(made)
	return failed
}

// HostPrograms are the mounts by which a container of Skeleton has the programs of the host, and can change none of them.
func HostPrograms() []mount.Mount {
	var all []mount.Mount
	for _, dir := range hostDirs {
		if info, err := os.Lstat(dir); err == nil && info.IsDir() {
			all = append(all, mount.Mount{Type: mount.TypeBind, Source: dir, Target: dir, ReadOnly: true})
		}
	}
	return all
}

var hostDirs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/etc/alternatives", "/etc/ssl", "/etc/fonts",
	"/etc/chromium", "/etc/chromium.d", "/etc/python3", "/etc/jupyter", "/etc/ipython"}

func skeletonFiles(testing.TB) []byte {
	f := newFiles()
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib64"} { // links where the host has merged them into /usr
		if target, err := os.Readlink(dir); err == nil {
			f.add(&tar.Header{Typeflag: tar.TypeSymlink, Name: dir[1:], Linkname: target, Mode: 0o777}, nil)
		}
	}
	if b, err := os.ReadFile("/etc/ld.so.cache"); err == nil {
		f.file("etc/ld.so.cache", b, 0o644)
	}
	return f.bytes()
}

// bashFiles are busybox under all its names, and bash with the libraries that it is linked to.
func bashFiles(t testing.TB) []byte {
	busybox, bash := need.Tool(t, "busybox"), need.Tool(t, "bash")
	f := newFiles()
	f.dir("bin", 0o755)
	f.copy(t, busybox, "bin/busybox")
	names, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(names)) {
		if name != "busybox" {
			f.add(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox", Mode: 0o777}, nil)
		}
	}
	f.copy(t, bash, "bin/bash")
	libraries, err := exec.Command("ldd", bash).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(libraries)) {
		if filepath.IsAbs(word) {
			f.copy(t, word, word[1:])
		}
	}
	return f.bytes()
}

// files is an archive of a root file system.
type files struct {
	buffer bytes.Buffer
	tar    *tar.Writer
	dirs   []string
}

func newFiles() *files {
	f := &files{}
	f.tar = tar.NewWriter(&f.buffer)
	for name, mode := range map[string]int64{"tmp": 0o1777, "var/tmp": 0o1777, "etc": 0o755, "root": 0o700, "home": 0o755, "run": 0o755} {
		f.dir(name, mode)
	}
	f.file("etc/passwd", []byte("root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n"), 0o644)
	f.file("etc/group", []byte("root:x:0:\nnogroup:x:65534:\n"), 0o644)
	f.file("etc/nsswitch.conf", []byte("passwd: files\ngroup: files\nhosts: files dns\n"), 0o644)
	return f
}

func (f *files) add(h *tar.Header, content []byte) {
	h.Size, h.ModTime = int64(len(content)), time.Unix(1e9, 0)
	if err := f.tar.WriteHeader(h); err != nil {
		panic(err) // a name that is too long, say: a bug here
	}
	if _, err := f.tar.Write(content); err != nil {
		panic(err)
	}
}

// dir adds a directory, and those above it.
func (f *files) dir(name string, mode int64) {
	if name == "." || slices.Contains(f.dirs, name) {
		return
	}
	f.dir(filepath.Dir(name), 0o755)
	f.dirs = append(f.dirs, name)
	f.add(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: mode}, nil)
}

func (f *files) file(name string, content []byte, mode int64) {
	f.dir(filepath.Dir(name), 0o755)
	f.add(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode}, content)
}

func (f *files) copy(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	f.file(to, b, 0o755)
}

func (f *files) bytes() []byte {
	if err := f.tar.Close(); err != nil {
		panic(fmt.Sprint("an image's archive: ", err))
	}
	return f.buffer.Bytes()
}
