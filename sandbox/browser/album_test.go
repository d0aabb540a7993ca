package browser

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestTheOldestScreenshotsGo(t *testing.T) {
	a := album{config: Config{Dir: t.TempDir()}}
	others := filepath.Join(a.config.Dir, screenshotsDir, "screenshot_of_mine.png")
	first, err := a.save([]byte("1"))
	if err == nil {
		err = os.WriteFile(others, nil, 0o600)
	}
	for range maxScreenshots {
		if err == nil {
			_, err = a.save([]byte("2"))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadDir(filepath.Dir(first))
	if err != nil || len(all) != maxScreenshots+1 {
		t.Errorf("%d files, %v", len(all), err)
	}
	if _, err := os.Stat(first); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the oldest: %v", err)
	}
	if _, err := os.Stat(others); err != nil {
		t.Error(err)
	}
}

// What programs put in the place of a download is neither waited for nor read with the rights of the server.
func TestDownloadsThatAreNone(t *testing.T) {
	c := Config{Dir: t.TempDir()}
	at := func(name string) string { return filepath.Join(c.Dir, downloadsDir, name) }
	secret := filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(c.makeDir(downloadsDir), syscall.Mkfifo(at("pipe"), 0o600), os.Symlink(secret, at("link")),
		os.WriteFile(secret, nil, 0o600), os.Mkdir(at("dir"), 0o700), os.WriteFile(at("file.csv"), []byte("a,b"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pipe", "link", "dir", "none"} {
		if path, err := c.place(t.Context(), name); err == nil {
			t.Errorf("%s: %s", name, path)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.place(ended, "file.csv"); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	if path, err := c.place(t.Context(), "file.csv"); err != nil || filepath.Base(path) != "file_1.csv" {
		t.Errorf("%q, %v", path, err)
	}
	if os.Geteuid() == 0 {
		c.Child.User = &syscall.Credential{Uid: 65534, Gid: 65534}
		if path, err := c.place(t.Context(), "file.csv"); !errors.Is(err, os.ErrPermission) {
			t.Errorf("another user's file: %q, %v", path, err)
		}
	}
}
