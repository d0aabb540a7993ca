package browser

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxScreenshots is how many are kept of one browser: each action takes one, of up to some MB, and agents look at the
// latest few.
const maxScreenshots = 100

// An album is the screenshots that have been saved below the working directory.
type album struct {
	config Config
	names  []string // the oldest first
}

// save writes an image and gives its path. The oldest one makes room for it.
func (a *album) save(png []byte) (string, error) {
	if err := a.config.makeDir(screenshotsDir); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(a.config.Dir) // a link that a program has put there leads nowhere else
	if err != nil {
		return "", err
	}
	defer root.Close()
	if len(a.names) >= maxScreenshots {
		_ = root.Remove(a.names[0]) // or somebody else has
		a.names = append(a.names[:0], a.names[1:]...)
	}
	name := filepath.Join(screenshotsDir, "screenshot_"+strings.Replace(time.Now().Format("20060102_150405.000000"), ".", "_", 1)+".png")
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	a.names = append(a.names, name)
	_, err = f.Write(png)
	return filepath.Join(a.config.Dir, name), errors.Join(err, a.config.own(f), f.Close())
}
