package backends

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sandtree/sandtree/internal/trees"
	"github.com/sandtree/sandtree/sandbox"
)

// A SnapshotMover is a SnapshotKeeper whose snapshots can be taken out, and in, as directories.
type SnapshotMover interface {
	// ExportSnapshot calls pack with each directory of a snapshot, which it closes; NotFound if there is none. What was written over
	// a root is one directory for each layer, which is called RootPart and of which layer says whose its files are; it is nil for others.
	ExportSnapshot(ctx context.Context, name string, pack func(a Archived, part string, dir *os.File, layer *trees.Layered) error) error
	// ArchiveKind is what archives are called of snapshots that hold these parts, one of the kinds below. Only what another
	// driver calls the same can be taken from it.
	ArchiveKind(holds []string) string
	// ImportSnapshot makes a snapshot of what unpack puts into a directory of the driver's; all of it is uid's and gid's, or this
	// process's user's if they are negative, but for layers of a root. Code: Conflict (there is one of that name).
	ImportSnapshot(ctx context.Context, a Archived, unpack func(into string, uid, gid int, layer *trees.Layered) error) error
}

// ArchiveBounds are how much an archive of a snapshot may hold; zero is the default, negative any number.
type ArchiveBounds struct {
	Files int64 // 0 means 4 million
	Bytes int64 // uncompressed; 0 means 64 GB
}

const (
	defaultArchiveFiles = 4_000_000
	defaultArchiveBytes = 64 << 30
	// archiveWindow is how far back compressed content may refer, in bytes, and so about the memory that reading takes: what
	// zstd's strongest ordinary level writes.
	archiveWindow  = 8 << 20
	archiveHead    = "snapshot.json" // name of the first entry
	archiveEnd     = "end.json"      // of the last one
	archiveHeadMax = 64 << 10        // bytes, of either: more than the sums of MostRootLayers have
)

func (a ArchiveBounds) filled() trees.Bounds {
	fill := func(n, usual int64) int64 {
		if n == 0 {
			return usual
		}
		return max(n, 0)
	}
	return trees.Bounds{Files: fill(a.Files, defaultArchiveFiles), Bytes: fill(a.Bytes, defaultArchiveBytes)}
}

// head is what an archive says of itself.
type head struct {
	Version  int           `json:"version"`
	Kind     string        `json:"kind"`
	Snapshot Snapshot      `json:"snapshot"`
	Root     *ArchivedRoot `json:"root,omitempty"`
}

// end is what there was in it, by parts: an archive that has lost a file is not like it.
type end struct {
	Parts map[string]trees.Part `json:"parts"`
}

// Export writes a snapshot to w as a tar archive that is compressed by zstd: a record, then its directories, without owners,
// attributes, sockets, pipes and devices (of a root that was written over with owners, attributes of users and what says that
// something is gone), and how much these hold, with a sum. It takes the same memory for any size. Codes: NotFound,
// Unsupported, Exhausted (it holds more than bounds), Canceled; w's own error is returned as it is.
func (b *Backend) Export(ctx context.Context, name string, w io.Writer, bounds ArchiveBounds) error {
	m, err := b.mover()
	if err == nil {
		err = CheckSnapshotName(name)
	}
	if err == nil {
		err = export(ctx, m, name, w, bounds.filled())
	}
	return b.wrap("Export", "", b.canceled(ctx, archived(err)))
}

func export(ctx context.Context, m SnapshotMover, name string, w io.Writer, bounds trees.Bounds) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(archiveWindow/2))
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	parts := map[string]trees.Part{}
	err = m.ExportSnapshot(ctx, name, func(a Archived, part string, dir *os.File, layer *trees.Layered) error {
		if len(parts) == 0 {
			kind := m.ArchiveKind(a.Holds)
			if err := writeRecord(t, archiveHead, a.Created, head{versionOf(kind), kind, a.Snapshot, a.Root}); err != nil {
				return errors.Join(err, dir.Close())
			}
		}
		packed, err := bounds.Pack(ctx, t, dir, part, layer)
		parts[part] = packed
		return err
	})
	if err == nil {
		err = writeRecord(t, archiveEnd, time.Time{}, end{parts})
	}
	if err == nil {
		err = t.Close()
	}
	if closed := z.Close(); err == nil { // it ends what it has begun in any case
		err = closed
	}
	return err
}

func writeRecord(t *tar.Writer, name string, at time.Time, record any) error {
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text)), ModTime: at}); err != nil {
		return err
	}
	_, err = t.Write(text)
	return err
}

// Import makes a snapshot of an archive that Export has written, under the name that it had or, if name is not "", that one. The
// archive may be a stranger's: nothing of it gets anywhere but into the snapshot, and it takes the same memory for any size. Codes:
// Invalid (the archive is broken, or not as Export makes it), Conflict (there is one of that name), Exhausted (it holds more than
// bounds, or there is no room), Unsupported (its kind is another backend's), Canceled; r's own error is returned as it is. Of what is
// refused nothing stays.
func (b *Backend) Import(ctx context.Context, name string, r io.Reader, bounds ArchiveBounds) (Snapshot, error) {
	m, err := b.mover()
	var made Snapshot
	if err == nil {
		made, err = b.imported(ctx, m, name, r, bounds.filled())
	}
	return made, b.wrap("Import", "", b.canceled(ctx, archived(err)))
}

func (b *Backend) imported(ctx context.Context, m SnapshotMover, name string, r io.Reader, bounds trees.Bounds) (Snapshot, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(archiveWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return Snapshot{}, err
	}
	defer z.Close()
	t := tar.NewReader(z)
	a, err := readHead(t, m)
	if err != nil {
		return a.Snapshot, err
	}
	s := &a.Snapshot
	if name != "" {
		s.Name = name
	}
	if err := CheckSnapshotName(s.Name); err != nil {
		return *s, err
	}
	s.Backend, s.Way, s.Why, s.Took, s.Size, s.Files = b.name, WayImport, "", 0, -1, -1
	begun := time.Now()
	err = m.ImportSnapshot(ctx, a, func(into string, uid, gid int, layer *trees.Layered) error {
		u := trees.Unpacking{Bounds: bounds, Parts: a.parts(), UID: uid, GID: gid, Layers: a.layers(), Layered: layer, End: archiveEnd}
		parts, err := u.Unpack(ctx, t, into)
		if err != nil {
			return err
		}
		return checkEnd(t, z, u.Parts, parts)
	})
	if err != nil {
		return *s, err
	}
	b.log.Info("snapshot imported", "snapshot", s.Name, "took", time.Since(begun))
	return b.Snapshot(ctx, s.Name)
}

func broken(why string, args ...any) error {
	return fmt.Errorf("%w: %s", trees.ErrArchive, fmt.Sprintf(why, args...))
}

// readHead reads the record, of which nothing is believed but what does no harm.
func readHead(t *tar.Reader, m SnapshotMover) (Archived, error) {
	var none Archived
	h, err := t.Next()
	switch {
	case errors.Is(err, io.EOF), err == nil && (h.Name != archiveHead || h.Typeflag != tar.TypeReg):
		return none, broken("it does not begin with %s: is it one of `sandtree export`?", archiveHead)
	case err != nil:
		return none, err
	}
	var was head
	if err := readRecord(t, h, &was); err != nil {
		return none, err
	}
	if was.Version < archiveVersion || was.Version > archiveVersionRooted {
		return none, broken("it is of version %d, and this program reads %d to %d", was.Version, archiveVersion, archiveVersionRooted)
	}
	s := was.Snapshot
	if s.Of != "" && s.Of.Check() != nil || len(s.Holds) == 0 {
		return none, broken("%s makes no sense", archiveHead)
	}
	for i, part := range s.Holds {
		if !slices.Contains([]string{"workspace", "home", "root"}, part) || slices.Contains(s.Holds[:i], part) {
			return none, broken("it cannot hold %.80q", s.Holds)
		}
	}
	if kind := m.ArchiveKind(s.Holds); was.Kind != kind {
		return none, &sandbox.Error{Code: sandbox.Unsupported,
			Err: fmt.Errorf("the archive is of kind %.20q, and this backend takes %q: import it for a backend of the kind that it is from", was.Kind, kind)}
	}
	if r := was.Root; (r != nil) != (was.Kind == KindRooted) || r != nil && (r.Of == "" || r.Layers < 1 || r.Layers > MostRootLayers) {
		return none, broken("%s makes no sense of a root", archiveHead)
	}
	return Archived{Snapshot{Name: s.Name, Of: s.Of, Created: s.Created, Holds: s.Holds}, was.Root}, nil
}

func readRecord(t *tar.Reader, h *tar.Header, record any) error {
	if h.Typeflag != tar.TypeReg || h.Size > archiveHeadMax {
		return broken("%s has %d bytes", h.Name, h.Size)
	}
	text, err := io.ReadAll(io.LimitReader(t, archiveHeadMax))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, record); err != nil {
		return broken("%s: %v", h.Name, err)
	}
	return nil
}

// checkEnd reads the last entry, which Unpack has left, and looks whether it tells of what was unpacked, of each part that there
// should be and of no other, and whether it is the last.
func checkEnd(t *tar.Reader, z io.Reader, want []string, parts map[string]trees.Part) error {
	var was end
	if err := readRecord(t, &tar.Header{Name: archiveEnd, Typeflag: tar.TypeReg}, &was); err != nil {
		return err
	}
	for _, part := range want {
		if _, ok := parts[part]; !ok {
			return broken("there is no %s", part)
		}
	}
	if !maps.Equal(was.Parts, parts) {
		return broken("it does not hold what %s says: something is missing, or was changed", archiveEnd)
	}
	if h, err := t.Next(); err == nil {
		return broken("after its end there is %.80q", h.Name)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	switch _, err := io.CopyN(io.Discard, z, 1<<20); { // so that what is compressed has come to its end too, and its sum been looked at
	case err == nil:
		return broken("it goes on after its end")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// uncopied gives an error about a tree that cannot be copied its code.
func uncopied(err error) error {
	var code sandbox.Code
	switch {
	case errors.Is(err, trees.ErrDeep), errors.Is(err, trees.ErrLinks):
		code = sandbox.Invalid
	case errors.Is(err, trees.ErrMoved):
		code = sandbox.Unavailable
	default:
		return err
	}
	if e, ok := errors.AsType[*sandbox.Error](err); ok {
		err = e.Err
	}
	return &sandbox.Error{Code: code, Err: err}
}

// archived gives an error about an archive its code.
func archived(err error) error {
	switch {
	case errors.Is(err, trees.ErrArchive), errors.Is(err, trees.ErrDeep), errors.Is(err, trees.ErrLong), errors.Is(err, trees.ErrAttributes),
		errors.Is(err, tar.ErrHeader), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, zstd.ErrMagicMismatch), errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrCRCMismatch):
		return &sandbox.Error{Code: sandbox.Invalid, Err: fmt.Errorf("the archive: %w", err)}
	case errors.Is(err, trees.ErrMuch):
		return &sandbox.Error{Code: sandbox.Exhausted, Err: fmt.Errorf("%w: raise the bound if that is right", err)}
	}
	return err
}

func (b *Backend) mover() (SnapshotMover, error) {
	if m, ok := b.driver.(SnapshotMover); ok {
		return m, nil
	}
	return nil, &sandbox.Error{Code: sandbox.Unsupported, Err: errors.New("snapshots of this backend cannot be moved")}
}
