package runtimetest

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// copyTo puts a file from the host into a directory of the sandbox, which is made.
func (s *site) copyTo(name, dir, content string) {
	s.Helper()
	if err := s.rt.Put(s.context(), path.Join(dir, name), strings.NewReader(content)); err != nil {
		s.Fatalf("copy %s to %s: %v", name, dir, err)
	}
}

// copyTree puts files, by their paths, below a directory of the sandbox.
func (s *site) copyTree(dir string, files map[string]string) {
	s.Helper()
	var err error
	if c, ok := s.rt.(*Client); ok {
		err = c.upload(s.context(), "tree.zip", dir, true, zipOf(files))
	} else {
		err = s.rt.PutTree(s.context(), dir, bytes.NewReader(tarFiles(files)))
	}
	if err != nil {
		s.Fatalf("copy to %s: %v", dir, err)
	}
}

// copyFrom gets the files below a directory of the sandbox, by their paths relative to it.
func (s *site) copyFrom(dir string) map[string]string {
	s.Helper()
	if c, ok := s.rt.(*Client); ok {
		files, err := c.download(s.context(), dir)
		if err != nil {
			s.Fatalf("copy from %s: %v", dir, err)
		}
		return files
	}
	var b bytes.Buffer
	if err := s.rt.GetTree(s.context(), dir, &b); err != nil {
		s.Fatalf("copy from %s: %v", dir, err)
	}
	files := map[string]string{}
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			s.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			content, err := io.ReadAll(r)
			if err != nil {
				s.Fatal(err)
			}
			files[h.Name] = string(content)
		}
	}
}

func zipOf(files map[string]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		if err == nil {
			_, err = io.WriteString(f, files[name])
		}
		if err != nil {
			panic(err) // a buffer takes all
		}
	}
	w.Close()
	return b.Bytes()
}

func tarFiles(files map[string]string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))})
		if err == nil {
			_, err = io.WriteString(w, files[name])
		}
		if err != nil {
			panic(err) // a buffer takes all
		}
	}
	w.Close()
	return b.Bytes()
}
