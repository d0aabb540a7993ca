package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/volume"

	"github.com/sandtree/sandtree/sandbox"
)

// How what is mounted can be used.
const (
	modeReadWrite = "rw"
	modeReadOnly  = "ro"
	modeOverlay   = "overlay"
)

// mountSpec is one of Config.Mounts.
type mountSpec struct {
	source string // absolute, or the name of a volume
	target string
	mode   string
	volume bool
}

const volumePrefix = "volume:"

// parseMounts reads Mounts, which are written as the original's sandbox.volumes.
func (c Config) parseMounts() ([]mountSpec, error) {
	var all []mountSpec
	for _, text := range c.Mounts {
		m, err := parseMount(text)
		if err != nil {
			return nil, fmt.Errorf("mounts: %q: %w", text, err)
		}
		if !m.volume {
			if err := c.checkShown("mounts", m.source); err != nil {
				return nil, err
			}
		}
		all = append(all, m)
	}
	return all, nil
}

func parseMount(text string) (mountSpec, error) {
	m := mountSpec{mode: modeReadWrite}
	rest, volume := strings.CutPrefix(text, volumePrefix)
	parts := strings.Split(rest, ":")
	if len(parts) == 3 {
		m.mode = parts[2]
	}
	if len(parts) < 2 || len(parts) > 3 {
		return m, errors.New("want SOURCE:TARGET or SOURCE:TARGET:MODE")
	}
	m.source, m.target = parts[0], parts[1]
	m.volume = volume || !filepath.IsAbs(m.source)
	switch {
	case m.source == "" || volume && strings.ContainsRune(m.source, '/'):
		return m, errors.New("the source is neither an absolute path nor the name of a volume")
	case m.volume && strings.ContainsAny(m.source, "/\\"):
		return m, errors.New("a source that is a path must be absolute")
	case !filepath.IsAbs(m.target) || filepath.Clean(m.target) != m.target || m.target == "/":
		return m, errors.New("the target is no absolute path below /")
	case m.target == inside || strings.HasPrefix(m.target, inside+"/"):
		return m, fmt.Errorf("what is below %s is the server's", inside)
	case !slices.Contains([]string{modeReadWrite, modeReadOnly, modeOverlay}, m.mode):
		return m, fmt.Errorf("mode %q: want rw, ro or overlay", m.mode)
	case m.mode == modeOverlay && os.Geteuid() != 0:
		return m, errors.New("only root can remove what an overlay leaves; copy the directory instead")
	case m.mode == modeOverlay && m.volume:
		return m, errors.New("only a directory can have mode overlay")
	case m.mode == modeOverlay && strings.ContainsAny(m.source, ",\\"):
		return m, errors.New("the path of a directory with mode overlay can have no comma and no backslash")
	}
	if !m.volume {
		m.source = filepath.Clean(m.source)
	}
	return m, nil
}

// overlay gives the directories that hold what is written over mount i.
func (h home) overlay(i int) (upper, work string) {
	dir := filepath.Join(h.overlayDir(), strconv.Itoa(i))
	return filepath.Join(dir, "upper"), filepath.Join(dir, "work")
}

// copyOwner makes a directory with the owner and the permissions of another, since it is shown in its place.
func copyOwner(like, dir string) error {
	info, err := os.Stat(like)
	if err != nil {
		return coded{sandbox.Invalid, fmt.Errorf("mounts: %w", err)}
	}
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := os.Lchown(dir, int(s.Uid), int(s.Gid)); err != nil {
			return err
		}
	}
	return os.Chmod(dir, info.Mode().Perm())
}

// mountsOf are all mounts of a sandbox's container.
func (d *Driver) mountsOf(h home, l label, program string) []mount.Mount {
	var all []mount.Mount
	bind := func(source, target string, readOnly bool) {
		all = append(all, mount.Mount{Type: mount.TypeBind, Source: source, Target: target, ReadOnly: readOnly})
	}
	if d.config.shared() {
		bind(program, insideProgram, true)
		bind(h.boxDir(), insideBox, false)
		if d.config.Home == "" && !l.InMemory {
			bind(h.homeDir(), sandboxHome, false)
		}
	}
	if l.Workspace != "" {
		bind(l.Workspace, d.config.Workdir, false)
	}
	for i, m := range d.mounts {
		switch {
		case m.volume:
			all = append(all, mount.Mount{Type: mount.TypeVolume, Source: m.source, Target: m.target, ReadOnly: m.mode == modeReadOnly})
		case m.mode == modeOverlay:
			upper, work := h.overlay(i)
			// One without a name would be left over if somebody else removed the container.
			all = append(all, mount.Mount{Type: mount.TypeVolume, Source: l.Container + "-" + strconv.Itoa(i), Target: m.target, VolumeOptions: &mount.VolumeOptions{
				NoCopy: true, Labels: d.volumeLabels(l), DriverConfig: &mount.Driver{Name: "local", Options: map[string]string{
					"type": "overlay", "device": "overlay", "o": "lowerdir=" + strings.ReplaceAll(m.source, ":", `\:`) + ",upperdir=" + upper + ",workdir=" + work,
				}}}})
		default:
			bind(m.source, m.target, m.mode == modeReadOnly)
		}
	}
	return all
}

// volumeLabels are those of the volumes that are a sandbox's own.
func (d *Driver) volumeLabels(l label) map[string]string {
	return map[string]string{labelPrefix + "system": d.system, labelPrefix + "container": l.Container}
}

// removeVolumes removes the volumes that are a sandbox's own, whose container is gone.
func (d *Driver) removeVolumes(ctx context.Context, container string) error {
	all, err := d.engine.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelPrefix+"container="+container))})
	if err != nil {
		return err
	}
	for _, v := range all.Volumes {
		if err := d.engine.VolumeRemove(ctx, v.Name, false); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	return nil
}
