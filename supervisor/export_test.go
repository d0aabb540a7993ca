package supervisor

import "os"

// exampleDirs are removed when all tests have run.
var exampleDirs []string

// DirOfExample makes a state directory for an example, which has nobody to clean up after it.
func DirOfExample() (string, error) {
	dir, err := os.MkdirTemp("", "st") // short, for the sockets below it
	exampleDirs = append(exampleDirs, dir)
	return dir, err
}
