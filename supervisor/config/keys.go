package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// EnvPrefix begins the names of the variables that are ours: state_dir is SANDTREE_STATE_DIR, journal.sync is
// SANDTREE_JOURNAL_SYNC, and env.NAME is SANDTREE_ENV_NAME.
const EnvPrefix = "SANDTREE_"

// EnvFile is the variable that names the configuration file; it is no key.
const EnvFile = EnvPrefix + "CONFIG"

// key is one thing that can be set.
type key struct {
	name   string
	typ    reflect.Type
	path   bool // a file name, to be made absolute
	secret bool
}

const (
	envPart      = "env."      // whose keys are free
	backendsPart = "backends." // whose keys are the drivers'
)

// keys lists what can be set: the leaves of Config, and below backends.NAME those of each driver's own struct.
func keys(drivers map[string]any) map[string]key {
	all := map[string]key{}
	leaves(all, "", reflect.TypeFor[Config]())
	for name, options := range drivers {
		leaves(all, backendsPart+name+".", reflect.TypeOf(options))
	}
	return all
}

func leaves(into map[string]key, prefix string, t reflect.Type) {
	for f := range fields(t) {
		name := prefix + f.Tag.Get("koanf")
		switch f.Type.Kind() {
		case reflect.Struct:
			leaves(into, name+".", f.Type)
		case reflect.Map: // of names that are free
		default:
			into[name] = key{name: name, typ: f.Type, path: f.Tag.Get("kind") == "path", secret: f.Tag.Get("secret") != ""}
		}
	}
}

// fields are those that can be set.
func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if tag := f.Tag.Get("koanf"); tag == "" || tag == "-" {
				continue
			}
			if !yield(f) {
				return
			}
		}
	}
}

// find says what name stands for.
func find(all map[string]key, name string) (key, bool) {
	if k, ok := all[name]; ok {
		return k, true
	}
	if v, ok := strings.CutPrefix(name, envPart); ok && v != "" {
		return key{name: name, typ: reflect.TypeFor[string](), secret: true}, true
	}
	return key{}, false
}

// envName is the variable that sets a key.
func envName(name string) string {
	if v, ok := strings.CutPrefix(name, envPart); ok {
		return EnvPrefix + "ENV_" + v
	}
	return EnvPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
}

// envKey is the key that a variable sets; if there is none, the name that it would have.
func envKey(all map[string]key, variable string) (string, bool) {
	if v, ok := strings.CutPrefix(variable, EnvPrefix+"ENV_"); ok {
		return envPart + v, v != ""
	}
	for name := range all {
		if envName(name) == variable {
			return name, true
		}
	}
	return strings.ToLower(strings.TrimPrefix(variable, EnvPrefix)), false
}

// closest is the known name that looks most like name; "" if none does.
func closest(name string, known []string) string {
	best, found := max(2, len(name)/3)+1, ""
	for _, k := range known {
		if d := distance(name, k); d < best {
			best, found = d, k
		}
	}
	if found != "" {
		return found
	}
	for _, k := range known { // the right word in the wrong part, or without its part
		if last := k[strings.LastIndexByte(k, '.')+1:]; last == name[strings.LastIndexByte(name, '.')+1:] {
			return k
		}
	}
	return ""
}

func sortedNames(all map[string]key) []string { return slices.Sorted(maps.Keys(all)) }

// distance is that of Levenshtein: how many letters must be put in, left out or changed.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
