package actors

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sandtree/sandtree/sandbox"
)

// quote makes one word of the shell, byte for byte what s is. The word is UTF-8 even if s is not, since an action is.
func quote(s string) string {
	if utf8.ValidString(s) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for i := range len(s) {
		if c := s[i]; c == '\\' || c == '\'' || c >= utf8.RuneSelf {
			fmt.Fprintf(&b, `\x%02x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteString("'")
	return b.String()
}

// exports is one command that exports all of vars.
func exports(vars map[string]string) string {
	var b strings.Builder
	b.WriteString("export")
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		b.WriteString(" " + name + "=" + quote(vars[name]))
	}
	return b.String()
}

// tokenVar holds the git token in the shell, where the credential helper reads it.
const tokenVar = "SANDTREE_GIT_TOKEN"

// gitVars configures git through the environment, so that nothing is written into any configuration file: who commits,
// and the credential for the repository's host. The helper's text is what can be seen; the token is not in it. The empty
// helper before it keeps every other from hearing of the token, and from storing it.
func gitVars(env map[string]string, s sandbox.Setup) map[string]string {
	var keys [][2]string
	if s.GitUser != "" {
		keys = append(keys, [2]string{"user.name", s.GitUser})
	}
	if s.GitEmail != "" {
		keys = append(keys, [2]string{"user.email", s.GitEmail})
	}
	vars := map[string]string{}
	if u := webURL(s.Repository); u != nil && s.GitToken != "" {
		helper := `!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' ` + tokenUser(u.Hostname()) + ` "$` + tokenVar + `"; }; f`
		section := "credential." + u.Scheme + "://" + u.Host + ".helper"
		keys = append(keys, [2]string{section, ""}, [2]string{section, helper})
		vars[tokenVar] = s.GitToken
	}
	if len(keys) == 0 {
		return nil
	}
	n, _ := strconv.Atoi(cmp.Or(env["GIT_CONFIG_COUNT"], "0")) // those that are there stay
	for i, kv := range keys {
		at := strconv.Itoa(n + i)
		vars["GIT_CONFIG_KEY_"+at], vars["GIT_CONFIG_VALUE_"+at] = kv[0], kv[1]
	}
	vars["GIT_CONFIG_COUNT"] = strconv.Itoa(n + len(keys))
	return vars
}

// webURL is s as a URL that git asks credentials for; nil if it is none.
func webURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil
	}
	return u
}

// tokenUser is the user name that a host wants beside a token.
func tokenUser(host string) string {
	switch {
	case strings.Contains(host, "gitlab"):
		return "oauth2"
	case strings.Contains(host, "bitbucket"):
		return "x-token-auth"
	}
	return "x-access-token"
}

// withoutPassword moves the credential that a repository's URL carries to where tokens belong, since git would write the
// URL into .git/config.
func withoutPassword(s sandbox.Setup) sandbox.Setup {
	u := webURL(s.Repository)
	if u == nil || u.User == nil {
		return s
	}
	if password, ok := u.User.Password(); ok {
		s.GitToken = cmp.Or(s.GitToken, password)
	} else {
		s.GitToken = cmp.Or(s.GitToken, u.User.Username()) // "https://TOKEN@host/…"
	}
	u.User = nil
	s.Repository = u.String()
	return s
}

// directory is where a repository is cloned to: the last part of its name.
func directory(repository string) string {
	s := strings.TrimRight(strings.TrimSuffix(strings.TrimRight(repository, "/"), ".git"), "/")
	if i := strings.LastIndexAny(s, "/:"); i >= 0 {
		s = s[i+1:]
	}
	if s == "" || s == "." || s == ".." {
		return "repository"
	}
	return s
}
