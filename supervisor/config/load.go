package config

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/sandtree/sandtree/sandbox"
)

// Sources are what a configuration is made of.
type Sources struct {
	// File is the file to read, which must be there; "" takes the one that SANDTREE_CONFIG names, else config.toml,
	// config.yaml or config.yml in $XDG_CONFIG_HOME/sandtree or ~/.config/sandtree, for root in /etc/sandtree, if it is there.
	File string
	Env  []string  // the environment, as KEY=VALUE; of two the last counts, and an empty value is none
	Flag []Setting // from the command line; the last counts
	Dir  string    // that relative file names in Env and Flag begin from; those in a file begin from its directory
	Root bool      // whether the program is run by root
	// Drivers holds for each driver a struct of its options, whose `koanf` tags are the keys below backends.NAME.
	Drivers map[string]any
}

// A Setting is a value given by hand.
type Setting struct{ Key, Value, Flag string }

// A Value is one thing that can be set, as it was settled.
type Value struct {
	Key    string `json:"key"`
	Value  any    `json:"value"` // a number, text, boolean, list of texts; a secret one is masked
	From   string `json:"from"`  // "default", or the file, variable or flag
	Secret bool   `json:"secret,omitempty"`
}

// Loaded is a configuration and its origins.
type Loaded struct {
	Config
	File   string  // that was read; "" none
	Values []Value // by key
}

// loading is a configuration in the making.
type loading struct {
	keys   map[string]key
	values map[string]any
	from   map[string]string
}

// Load makes the configuration. Code: Invalid, naming the key or the file and what is wrong with it.
func Load(s Sources) (*Loaded, error) {
	l, err := load(s)
	if err != nil {
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: "config", Err: err}
	}
	return l, nil
}

func load(s Sources) (*Loaded, error) {
	env := map[string]string{}
	for _, e := range s.Env {
		if name, value, ok := strings.Cut(e, "="); ok && value != "" {
			env[name] = value
		}
	}
	r := resolver{dir: s.Dir, home: env["HOME"]}
	l := loading{keys: keys(s.Drivers), values: map[string]any{}, from: map[string]string{}}
	l.addDefaults(s, env)

	file, err := findFile(s, env, r)
	if err != nil {
		return nil, err
	}
	if file != "" {
		err = l.addFile(file, resolver{dir: filepath.Dir(file), home: r.home})
	}
	if err := errors.Join(err, l.addEnv(env, r), l.addFlags(s.Flag, r)); err != nil {
		return nil, err
	}
	return l.finish(file)
}

// set settles a key for now. from names the place for the message, and for whoever asks where a value came from.
func (l *loading) set(name string, v any, from string, r resolver) error {
	k, ok := find(l.keys, name)
	if !ok {
		return unknown(name, from, l.keys)
	}
	v, err := k.parse(v, r)
	if variable, ok := strings.CutPrefix(name, envPart); ok && err == nil {
		err = sandbox.CheckEnv(variable, v.(string))
	}
	if err != nil {
		if k.secret {
			err = errors.New("want a text, and a name of letters, digits and '_'") // the value is not shown
		}
		return fmt.Errorf("%s: %s: %w", from, name, err)
	}
	l.values[name], l.from[name] = v, from
	return nil
}

func unknown(name, from string, all map[string]key) error {
	if c := closest(name, sortedNames(all)); c != "" {
		return fmt.Errorf("%s: there is no key %q; did you mean %q?", from, name, c)
	}
	return fmt.Errorf("%s: there is no key %q; `sandtree config` lists those that there are", from, name)
}

func (l *loading) addDefaults(s Sources, env map[string]string) {
	c := reflect.ValueOf(defaults())
	l.collect("", c)
	for name, options := range s.Drivers {
		l.collect(backendsPart+name+".", reflect.ValueOf(options))
	}
	l.values["state_dir"] = stateDir(s, env)
}

func (l *loading) collect(prefix string, v reflect.Value) {
	for f := range fields(v.Type()) {
		name := prefix + f.Tag.Get("koanf")
		field := v.FieldByIndex(f.Index)
		switch f.Type.Kind() {
		case reflect.Struct:
			l.collect(name+".", field)
		case reflect.Map:
		default:
			l.values[name], l.from[name] = field.Interface(), "default"
		}
	}
}

func stateDir(s Sources, env map[string]string) string {
	switch dir := env["XDG_STATE_HOME"]; {
	case s.Root:
		return "/var/lib/sandtree"
	case filepath.IsAbs(dir):
		return filepath.Join(dir, "sandtree")
	case env["HOME"] != "":
		return filepath.Join(env["HOME"], ".local", "state", "sandtree")
	}
	return "" // which must be set, then
}

func (l *loading) addFile(file string, r resolver) error {
	values, err := readFile(file)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		err = errors.Join(err, l.set(name, values[name], file, r))
	}
	return err
}

func (l *loading) addEnv(env map[string]string, r resolver) (err error) {
	for _, variable := range slices.Sorted(maps.Keys(env)) {
		if !strings.HasPrefix(variable, EnvPrefix) || variable == EnvFile {
			continue
		}
		name, ok := envKey(l.keys, variable)
		if !ok {
			err = errors.Join(err, l.unknownVariable(variable))
			continue
		}
		err = errors.Join(err, l.set(name, env[variable], variable, r))
	}
	return err
}

func (l *loading) unknownVariable(variable string) error {
	known := []string{EnvFile}
	for name := range l.keys {
		known = append(known, envName(name))
	}
	slices.Sort(known)
	if c := closest(variable, known); c != "" {
		return fmt.Errorf("the environment: there is no variable %s; did you mean %s?", variable, c)
	}
	return fmt.Errorf("the environment: there is no variable %s; `sandtree config` lists the keys that there are", variable)
}

func (l *loading) addFlags(flags []Setting, r resolver) (err error) {
	for _, f := range flags {
		err = errors.Join(err, l.set(f.Key, f.Value, f.Flag, r))
	}
	return err
}

// finish puts the values into their struct.
func (l *loading) finish(file string) (*Loaded, error) {
	out := &Loaded{File: file}
	for _, name := range slices.Sorted(maps.Keys(l.values)) {
		out.Values = append(out.Values, l.shown(name))
	}
	k := koanf.New(".")
	if err := k.Load(confmap.Provider(l.values, "."), nil); err != nil {
		return nil, err
	}
	err := k.UnmarshalWithConf("", &out.Config, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result: &out.Config, TagName: "koanf", ErrorUnused: true,
	}})
	if err != nil {
		return nil, err
	}
	if name, err := out.check(); err != nil {
		if l.from[name] == "default" && name == "state_dir" {
			err = errors.New("neither it nor HOME is set")
		}
		return nil, fmt.Errorf("%s: %s: %w", l.from[name], name, err)
	}
	return out, nil
}

const masked = "********"

func (l *loading) shown(name string) Value {
	k, _ := find(l.keys, name)
	v := Value{Key: name, Value: l.values[name], From: l.from[name], Secret: k.secret}
	if k.secret && !reflect.ValueOf(v.Value).IsZero() {
		v.Value = masked
	}
	if s, ok := v.Value.(fmt.Stringer); ok { // a duration
		v.Value = s.String()
	}
	return v
}
