package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

const maxFile = 1 << 20 // bytes: a configuration of a thousand keys has a twentieth

var parsers = map[string]koanf.Parser{".toml": toml.Parser(), ".yaml": yaml.Parser(), ".yml": yaml.Parser()}

// findFile is the file to read: the one that is named, else the one that is where one is looked for; "" none.
func findFile(s Sources, env map[string]string, r resolver) (string, error) {
	named := s.File
	if named == "" {
		named = env[EnvFile]
	}
	if named != "" {
		named = r.path(named)
		if parsers[filepath.Ext(named)] == nil {
			return "", fmt.Errorf("%s: want a name that ends in .toml, .yaml or .yml", named)
		}
		return named, nil
	}
	var found []string
	for _, ext := range []string{".toml", ".yaml", ".yml"} {
		path := filepath.Join(fileDir(s, env, r), "config"+ext)
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("there are both %s and %s: remove one", found[0], found[1])
}

func fileDir(s Sources, env map[string]string, r resolver) string {
	switch dir := env["XDG_CONFIG_HOME"]; {
	case s.Root:
		return "/etc/sandtree"
	case filepath.IsAbs(dir):
		return filepath.Join(dir, "sandtree")
	}
	return filepath.Join(r.home, ".config", "sandtree")
}

// readFile gives what the file sets, by key.
func readFile(path string) (map[string]any, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s: want at most %d bytes", path, maxFile)
	}
	values, err := parseFile(content, parsers[filepath.Ext(path)])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}

func parseFile(content []byte, p koanf.Parser) (map[string]any, error) {
	k := koanf.New(".")
	if err := k.Load(rawbytes.Provider(content), p); err != nil {
		return nil, err
	}
	values := k.All()
	for name, v := range values {
		if m, ok := v.(map[string]any); ok && len(m) == 0 {
			delete(values, name) // a part that sets nothing
		}
	}
	return values, nil
}
