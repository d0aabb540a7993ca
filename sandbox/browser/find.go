package browser

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// names are what Chromium is called by those who package it.
var names = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
	"chrome-headless-shell", "headless_shell"}

// behind is where the program is to which a distribution's script leads. The script takes 30 ms and reads settings that
// are meant for desktops.
var behind = map[string]string{"chromium": "/usr/lib/chromium/chromium", "chromium-browser": "/usr/lib/chromium/chromium"}

// errMissing says what to do about a sandbox without a browser.
var errMissing = &sandbox.Error{Code: sandbox.Unsupported, Op: "browse", Err: errors.New(
	"there is no Chromium in this sandbox: install the package chromium (Debian, Fedora, Alpine), or put chrome or " +
		"headless_shell on PATH")}

// find gives the path of the browser's program in the environment of the sandbox.
func find(env []string) (string, error) {
	for _, dir := range filepath.SplitList(value(env, "PATH")) {
		for _, name := range names {
			path := filepath.Join(dir, name)
			if !filepath.IsAbs(path) || !executable(path) {
				continue
			}
			if real, ok := behind[name]; ok && dir == "/usr/bin" && executable(real) {
				return real, nil
			}
			return path, nil
		}
	}
	if path := playwrights(env); path != "" {
		return path, nil
	}
	return "", errMissing
}

// playwrights is the newest of the browsers that Playwright has installed, as it has in OpenHands' images; "" none.
func playwrights(env []string) string {
	roots := []string{value(env, "PLAYWRIGHT_BROWSERS_PATH"), "/opt/playwright-browsers"}
	if home := value(env, "HOME"); home != "" {
		roots = append(roots, filepath.Join(home, ".cache/ms-playwright"))
	}
	for _, root := range roots {
		if !filepath.IsAbs(root) {
			continue
		}
		for _, pattern := range []string{"chromium-*/chrome-linux*/chrome", "chromium_headless_shell-*/chrome-*/*shell"} {
			found, _ := filepath.Glob(filepath.Join(root, pattern))
			slices.Reverse(found)
			if i := slices.IndexFunc(found, executable); i >= 0 {
				return found[i]
			}
		}
	}
	return ""
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// value is that of a variable; "" if there is none. The last one counts.
func value(env []string, name string) string {
	for _, v := range slices.Backward(env) {
		if rest, ok := strings.CutPrefix(v, name+"="); ok {
			return rest
		}
	}
	return ""
}
