package backends

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/sandtree/sandtree/internal/trees"
	"github.com/sandtree/sandtree/sandbox"
)

// A SnapshotMover is a SnapshotKeeper whose snapshots can be taken out, and in, as directories.
type SnapshotMover interface {
	// ExportSnapshot calls pack with each directory of a snapshot, which it closes; NotFound if there is none.
	ExportSnapshot(ctx context.Context, name string, pack func(s Snapshot, part string, dir *os.File) error) error
	// ImportSnapshot makes s of what unpack puts into a directory of the driver's; all of it is uid's and gid's, or this
	// process's user's if they are negative. Code: Conflict (there is one of that name).
	ImportSnapshot(ctx context.Context, s Snapshot, unpack func(into string, uid, gid int) error) error
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
	archiveVersion = 1
	archiveHead    = "snapshot.json" // name of the first entry
	archiveHeadMax = 64 << 10        // bytes
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
	Version  int      `json:"version"`
	Snapshot Snapshot `json:"snapshot"`
}

// Export writes a snapshot to w as a tar archive that is compressed by zstd: a record, and then its directories, without owners,
// attributes, sockets, pipes and devices. It takes the same memory for any size. Codes: NotFound, Unsupported, Exhausted (it
// holds more than bounds), Canceled; w's own error is returned as it is.
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
	begun := false
	err = m.ExportSnapshot(ctx, name, func(s Snapshot, part string, dir *os.File) error {
		if !begun {
			begun = true
			if err := writeHead(t, s); err != nil {
				return errors.Join(err, dir.Close())
			}
		}
		_, err := bounds.Pack(ctx, t, dir, part)
		return err
	})
	if err == nil {
		err = t.Close()
	}
	if closed := z.Close(); err == nil { // it ends what it has begun in any case
		err = closed
	}
	return err
}

func writeHead(t *tar.Writer, s Snapshot) error {
	text, err := json.Marshal(head{archiveVersion, s})
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: archiveHead, Mode: 0o644, Size: int64(len(text)), ModTime: s.Created}); err != nil {
		return err
	}
	_, err = t.Write(text)
	return err
}

// Import makes a snapshot of an archive that Export has written, under the name that it had or, if name is not "", that one. The
// archive may be a stranger's: nothing of it gets anywhere but into the snapshot, and it takes the same memory for any size. Codes:
// Invalid (the archive is broken, or not as Export makes it), Conflict (there is one of that name), Exhausted (it holds more than
// bounds, or there is no room), Unsupported, Canceled; r's own error is returned as it is.
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
	s, err := readHead(t)
	if err != nil {
		return s, err
	}
	if name != "" {
		s.Name = name
	}
	if err := CheckSnapshotName(s.Name); err != nil {
		return s, err
	}
	s.Backend, s.Way, s.Why, s.Took, s.Size, s.Files = b.name, WayImport, "", 0, -1, -1
	begun := time.Now()
	err = m.ImportSnapshot(ctx, s, func(into string, uid, gid int) error {
		_, err := trees.Unpacking{Bounds: bounds, Parts: s.Holds, UID: uid, GID: gid}.Unpack(ctx, t, into)
		return err
	})
	if err != nil {
		return s, err
	}
	b.log.Info("snapshot imported", "snapshot", s.Name, "took", time.Since(begun))
	return b.Snapshot(ctx, s.Name)
}

// readHead reads the record, of which nothing is believed but what does no harm.
func readHead(t *tar.Reader) (Snapshot, error) {
	broken := func(why string, args ...any) (Snapshot, error) {
		return Snapshot{}, fmt.Errorf("%w: %s", trees.ErrArchive, fmt.Sprintf(why, args...))
	}
	h, err := t.Next()
	switch {
	case errors.Is(err, io.EOF), err == nil && (h.Name != archiveHead || h.Typeflag != tar.TypeReg):
		return broken("it does not begin with %s: is it one of `sandtree export`?", archiveHead)
	case err != nil:
		return Snapshot{}, err
	case h.Size > archiveHeadMax:
		return broken("%s has %d bytes", archiveHead, h.Size)
	}
	var was head
	text, err := io.ReadAll(io.LimitReader(t, archiveHeadMax))
	if err != nil {
		return Snapshot{}, err
	}
	if err := json.Unmarshal(text, &was); err != nil {
		return broken("%s: %v", archiveHead, err)
	}
	if was.Version != archiveVersion {
		return broken("it is of version %d, and this program reads %d", was.Version, archiveVersion)
	}
	s := was.Snapshot
	if s.Of != "" && s.Of.Check() != nil || len(s.Holds) == 0 {
		return broken("%s makes no sense", archiveHead)
	}
	for _, part := range s.Holds {
		if part != "workspace" && part != "home" {
			return broken("it holds %.80q, which this backend does not have", part)
		}
	}
	return Snapshot{Name: s.Name, Of: s.Of, Created: s.Created, Holds: s.Holds}, nil
}

// archived gives an error about an archive its code.
func archived(err error) error {
	switch {
	case errors.Is(err, trees.ErrArchive), errors.Is(err, trees.ErrDeep), errors.Is(err, tar.ErrHeader), errors.Is(err, io.ErrUnexpectedEOF),
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
