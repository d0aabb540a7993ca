package mcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// ParseElements reads the form in which OpenHands' clients send their list of programs:
//
//	[{"name", "command", "args", "env"}, …]
//
// by the rules of the original, where "args" may also be one string as for a shell, and "env" one of the form "K=V,K=V".
// Of several with one name the last counts. Code: Invalid.
func ParseElements(b []byte) ([]Server, error) {
	var elements []element
	if err := json.Unmarshal(b, &elements); err != nil {
		return nil, invalid(err)
	}
	servers := make([]Server, 0, len(elements))
	for i, e := range elements {
		s, err := e.server()
		if err != nil {
			return nil, invalid(fmt.Errorf("element %d: %w", i, err))
		}
		servers = append(servers, s)
	}
	return checked(servers)
}

// An element is a program as OpenHands configures it.
type element struct {
	Name    string          `json:"name"`
	Command string          `json:"command"`
	Args    json.RawMessage `json:"args"`
	Env     json.RawMessage `json:"env"`
}

func (e element) server() (Server, error) {
	s := Server{Name: strings.TrimSpace(e.Name), Type: Stdio, Command: strings.TrimSpace(e.Command)}
	switch {
	case s.Name == "":
		return s, errors.New("the name is empty")
	case s.Command == "":
		return s, errors.New("the command is empty")
	case strings.Contains(s.Command, " "):
		return s, errors.New("the command is to be a single program without spaces: its arguments belong into args")
	}
	var err error
	if s.Args, err = parseArgs(e.Args); err != nil {
		return s, fmt.Errorf("args: %w", err)
	}
	if s.Env, err = parseEnv(e.Env); err != nil {
		return s, fmt.Errorf("env: %w", err)
	}
	return s, nil
}

// parseArgs takes a list, or one string that is split as a shell would.
func parseArgs(b json.RawMessage) ([]string, error) {
	if text, ok := asString(b); ok {
		return splitArgs(strings.TrimSpace(text)) // as the original does
	}
	var list []*string
	if len(b) > 0 {
		if err := json.Unmarshal(b, &list); err != nil {
			return nil, errors.New("want a list of strings, or one string")
		}
	}
	var args []string
	for _, a := range list {
		if a == nil {
			return nil, errors.New("want strings, not null")
		}
		args = append(args, *a)
	}
	return args, nil
}

// parseEnv takes an object, or one string of the form "K=V,K=V".
func parseEnv(b json.RawMessage) (map[string]string, error) {
	if text, ok := asString(b); ok {
		return splitEnv(text)
	}
	var object map[string]*string
	if len(b) > 0 {
		if err := json.Unmarshal(b, &object); err != nil {
			return nil, errors.New("want an object of strings, or one string K=V,K=V")
		}
	}
	var env map[string]string
	for name, value := range object {
		if value == nil {
			return nil, fmt.Errorf("the value of %.60q is null", name)
		}
		if env == nil {
			env = map[string]string{}
		}
		env[name] = *value
	}
	return env, nil
}

func splitEnv(text string) (map[string]string, error) {
	var env map[string]string
	for pair := range strings.SplitSeq(text, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		if !ok || !madeOf(name, "_") || name[0] >= '0' && name[0] <= '9' {
			return nil, fmt.Errorf("%.60q is not of the form KEY=VALUE", pair)
		}
		if env == nil {
			env = map[string]string{}
		}
		env[name] = value
	}
	return env, nil
}

func asString(b json.RawMessage) (string, bool) {
	var s *string
	if json.Unmarshal(b, &s) != nil || s == nil {
		return "", false
	}
	return *s, true
}

// splitArgs splits a line into words as Python's shlex.split does in its POSIX mode, which is what the original uses.
func splitArgs(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	in := false      // a word has begun, if only with quotes
	quote := byte(0) // that we are within; 0 none
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == 0 && strings.IndexByte(" \t\r\n", c) >= 0:
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		case c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, in = c, true
		case c == '\\' && quote != '\'':
			in = true
			if i++; i == len(line) {
				return nil, errors.New("ends with a backslash")
			}
			if quote == '"' && line[i] != '"' && line[i] != '\\' {
				word.WriteByte('\\')
			}
			word.WriteByte(line[i])
		default:
			in = true
			word.WriteByte(c)
		}
	}
	if quote != 0 {
		return nil, errors.New("a quotation is not closed")
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}
