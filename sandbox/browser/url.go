package browser

import (
	"net/url"
	"path/filepath"
	"strings"
)

// address is the URL that an agent means. One with a scheme that pages are shown by is as it is; a path (/…, ./…, ../…) is
// that of a file, relative to the working directory; anything else is the name of a host, which is asked by HTTP.
func address(s, dir string) (string, error) {
	s = strings.TrimSpace(s)
	scheme, _, found := strings.Cut(strings.ToLower(s), ":")
	if !found { // it may be a host of that name
		scheme = ""
	}
	switch {
	case s == "":
		return "", failed("ValueError", "the URL is empty")
	case scheme == "javascript":
		return "", failed("ValueError", "a javascript: URL is no page")
	case scheme == "http", scheme == "https", scheme == "file", scheme == "about", scheme == "data", scheme == "blob",
		scheme == "chrome", scheme == "view-source":
		return s, nil
	case strings.HasPrefix(s, "/"):
		return (&url.URL{Scheme: "file", Path: s}).String(), nil
	case strings.HasPrefix(s, "./"), strings.HasPrefix(s, "../"):
		return (&url.URL{Scheme: "file", Path: filepath.Join(dir, s)}).String(), nil
	}
	return "http://" + s, nil
}
