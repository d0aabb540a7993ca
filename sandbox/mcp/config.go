package mcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// How a server is reached.
const (
	Stdio = "stdio" // a program, over its standard input and output
	SSE   = "sse"   // HTTP in the form of protocol 2024-11-05
	HTTP  = "http"  // streamable HTTP
)

// Server is the configuration of one server: a program, or a URL.
type Server struct {
	Name string // letters, digits, _ and -
	Type string // Stdio, SSE or HTTP; "" finds out: of a URL whose path ends in /sse it is SSE, of others HTTP

	Command string            // a path, or looked up in PATH
	Args    []string          // without the command
	Env     map[string]string // besides the environment that programs have

	URL     string            // http or https
	Headers map[string]string // sent with every request to the URL's host, and to no other
}

func (s Server) equal(o Server) bool {
	return s.Name == o.Name && s.Type == o.Type && s.Command == o.Command && slices.Equal(s.Args, o.Args) &&
		maps.Equal(s.Env, o.Env) && s.URL == o.URL && maps.Equal(s.Headers, o.Headers)
}

// ParseConfig reads the usual form of a configuration:
//
//	{"mcpServers": {NAME: {"command", "args", "env"} | {"url", "type", "headers"}, …}}
//
// "type" is "stdio", "sse", "http" or one of its other spellings ("streamable-http", …); without it a URL whose path ends in /sse is SSE and
// any other HTTP. A server that is "disabled" is left out. Members that mean something to other programs alone are
// passed over, since such files are shared. The servers come sorted by name. Code: Invalid.
func ParseConfig(b []byte) ([]Server, error) {
	var file struct {
		Servers map[string]json.RawMessage `json:"mcpServers"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, invalid(err)
	}
	if file.Servers == nil {
		return nil, invalid(errors.New(`there is no "mcpServers": want {"mcpServers": {NAME: {"command": …} or {"url": …}}}`))
	}
	var servers []Server
	for _, name := range slices.Sorted(maps.Keys(file.Servers)) {
		s, disabled, err := parseEntry(name, file.Servers[name])
		if err != nil {
			return nil, invalid(fmt.Errorf("server %.60q: %w", name, err))
		}
		if !disabled {
			servers = append(servers, s)
		}
	}
	return checked(servers)
}

func parseEntry(name string, b json.RawMessage) (s Server, disabled bool, err error) {
	var entry struct {
		element
		Type      string            `json:"type"`
		Transport string            `json:"transport"`
		URL       string            `json:"url"`
		Headers   map[string]string `json:"headers"`
		Disabled  bool              `json:"disabled"`
	}
	if err := json.Unmarshal(b, &entry); err != nil {
		return s, false, err
	}
	kind := entry.Type
	if kind == "" {
		kind = entry.Transport
	}
	entry.Name = name
	switch {
	case entry.URL == "" && entry.Command == "":
		return s, false, errors.New("has neither a command nor a url")
	case entry.URL != "" && entry.Command != "":
		return s, false, errors.New("has both a command and a url: leave one out")
	case entry.Command != "":
		if kind != "" && kind != Stdio {
			return s, false, fmt.Errorf("has a command, so its type is stdio, not %.40q", kind)
		}
		s, err = entry.server()
		return s, entry.Disabled, err
	}
	s = Server{Name: name, URL: entry.URL, Headers: entry.Headers}
	s.Type, err = typeOf(kind, entry.URL)
	return s, entry.Disabled, err
}

func typeOf(kind, address string) (string, error) {
	switch strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(kind)) {
	case "sse":
		return SSE, nil
	case "http", "streamablehttp", "shttp":
		return HTTP, nil
	case "":
		if u, err := url.Parse(address); err == nil && strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/sse") {
			return SSE, nil
		}
		return HTTP, nil
	}
	return "", fmt.Errorf("type %.40q is none: a url's is sse or http", kind)
}

// checked gives servers with what is missing filled in, the last one of each name.
func checked(servers []Server) ([]Server, error) {
	if len(servers) > maxServers {
		return nil, invalid(fmt.Errorf("there are %d servers: at most %d are taken", len(servers), maxServers))
	}
	out := make([]Server, 0, len(servers))
	for _, s := range servers {
		if s.Type == "" {
			s.Type = Stdio
			if s.URL != "" {
				s.Type, _ = typeOf("", s.URL)
			}
		}
		if err := s.check(); err != nil {
			return nil, invalid(fmt.Errorf("server %.60q: %w", s.Name, err))
		}
		if i := slices.IndexFunc(out, func(o Server) bool { return o.Name == s.Name }); i >= 0 {
			out = slices.Delete(out, i, i+1)
		}
		out = append(out, s)
	}
	return out, nil
}

func (s Server) check() error {
	if len(s.Name) > 128 || !madeOf(s.Name, "_-") {
		return errors.New("a name has letters, digits, _ and - and at most 128 of them")
	}
	if s.Command != "" && s.URL != "" {
		return errors.New("has both a command and a url: leave one out")
	}
	switch s.Type {
	case Stdio:
		for _, text := range append([]string{s.Command}, s.Args...) {
			if strings.ContainsRune(text, 0) {
				return errors.New("an argument cannot have a NUL byte")
			}
		}
		for name, value := range s.Env {
			if err := sandbox.CheckEnv(name, value); err != nil {
				return err
			}
		}
		if s.Command == "" {
			return errors.New("the command is empty")
		}
		return nil
	case SSE, HTTP:
		u, err := url.Parse(s.URL)
		if err != nil {
			return err
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("%.200q is no URL of http or https", s.URL)
		}
		return checkHeaders(s.Headers)
	}
	return fmt.Errorf("type %.40q is none of %s, %s, %s", s.Type, Stdio, SSE, HTTP)
}

func checkHeaders(headers map[string]string) error {
	for name, value := range headers {
		if !madeOf(name, "!#$%&'*+.^_`|~-") || strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Errorf("header %.60q is none", name)
		}
	}
	return nil
}

// madeOf says whether s is not empty and has only letters and digits of ASCII, and the characters given.
func madeOf(s, besides string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte(besides, c) < 0 {
			return false
		}
	}
	return s != ""
}

func invalid(err error) error {
	return &sandbox.Error{Code: sandbox.Invalid, Op: "mcp", Err: err}
}
