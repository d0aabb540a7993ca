//go:build !linux

package files

import (
	"errors"
	"io/fs"
	"os"
)

func openNameless(*os.Root, fs.FileMode) (*os.File, error) { return nil, errors.ErrUnsupported }

func linkNameless(*os.File, *os.Root, string) error { return errors.ErrUnsupported }

func exchange(*os.Root, string, string) bool { return false }
