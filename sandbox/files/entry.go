package files

import (
	"fmt"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// entryName checks the name of an archive's entry and gives it without "./" and '/' at the end; "." is the directory itself.
func entryName(name string) (string, error) {
	if name == "" || strings.IndexByte(name, 0) >= 0 || len(name) > maxPath {
		return "", badEntry(name, "has an impossible name")
	}
	if name[0] == '/' {
		return "", badEntry(name, "has an absolute name")
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", badEntry(name, "leads outside")
		}
		if len(part) > maxName {
			return "", badEntry(name, "has an impossible name")
		}
	}
	return tidy(name), nil
}

func badEntry(name, what string) error {
	return &sandbox.Error{Code: sandbox.Invalid, Op: "files.unpack", Err: fmt.Errorf("archive entry %.300q %s", name, what)}
}

// checkLink says whether a symbolic link called name (as entryName gives it) stays inside when it leads to target. Every
// ".." must come first, where it goes up through directories: behind another link it could go up anywhere.
func checkLink(name, target string) error {
	depth := strings.Count(name, "/")
	if target == "" || target[0] == '/' || len(target) > maxPath || strings.IndexByte(target, 0) >= 0 {
		return badEntry(name, "is a link to "+fmt.Sprintf("%.300q", target))
	}
	down := false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 || down {
				return badEntry(name, fmt.Sprintf("is a link that leads outside: %.300q", target))
			}
		default:
			down = true
		}
	}
	return nil
}
