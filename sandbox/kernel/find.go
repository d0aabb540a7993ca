package kernel

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A program is what a kernel is started with.
type program struct {
	Argv     []string          `json:"argv"` // {connection_file} stands for its path
	Name     string            `json:"display_name"`
	Language string            `json:"language"`
	Env      map[string]string `json:"env"`
	Mode     string            `json:"interrupt_mode"` // "message", or else by signal
	ours     bool              // a Python that runs boot.py
}

// DefaultLanguage is that of kernels for which nothing else is asked.
const DefaultLanguage = "python3"

func isPython(language string) bool {
	switch strings.ToLower(language) {
	case "", "python", "python3", "ipython":
		return true
	}
	return false
}

// variable gives the value of a variable, "" if it is not set.
func variable(env []string, name string) string {
	for _, v := range slices.Backward(env) {
		if k, value, _ := strings.Cut(v, "="); k == name {
			return value
		}
	}
	return ""
}

// An interpreter is a Python: the same program is another one in another virtual environment.
type interpreter struct {
	path string
	file os.FileInfo
	home string // of its virtual environment; "" none
}

// pythons are the interpreters to be tried in turn, each once: those that a shell would find, Debian's, and the one that
// Jupyter has been told of. Whether one has ipykernel shows when it is started: asking first would start it twice.
func pythons(env []string) []string {
	var found []interpreter
	add := func(dir, name, home string) {
		path := filepath.Join(dir, name)
		st, err := os.Stat(path)
		if err != nil || !st.Mode().IsRegular() || st.Mode()&0o111 == 0 || slices.ContainsFunc(found, func(i interpreter) bool {
			return i.home == home && os.SameFile(i.file, st)
		}) {
			return
		}
		found = append(found, interpreter{path, st, home})
	}
	for _, dir := range filepath.SplitList(variable(env, "PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		names, home := []string{"python3", "python"}, venv(dir)
		if home != "" {
			slices.Reverse(names) // what people call an environment's own
		}
		for _, name := range names {
			add(dir, name, home)
		}
	}
	add("/usr/bin", "python3", "")
	if spec, ok := findSpec(env, DefaultLanguage); ok && filepath.IsAbs(spec.Argv[0]) {
		dir, name := filepath.Split(spec.Argv[0])
		add(dir, name, venv(dir))
	}
	paths := make([]string, len(found))
	for i := range found {
		paths[i] = found[i].path
	}
	return paths
}

// venv is the virtual environment whose programs are in dir, "" if there is none.
func venv(dir string) string {
	home := filepath.Dir(filepath.Clean(dir))
	if _, err := os.Stat(filepath.Join(home, "pyvenv.cfg")); err != nil {
		return ""
	}
	return home
}

// specDirs are the directories of kernelspecs in the order in which Jupyter looks.
func specDirs(env []string) []string {
	dirs := filepath.SplitList(variable(env, "JUPYTER_PATH"))
	if dir := variable(env, "JUPYTER_DATA_DIR"); dir != "" {
		dirs = append(dirs, dir)
	} else if dir := variable(env, "XDG_DATA_HOME"); dir != "" {
		dirs = append(dirs, filepath.Join(dir, "jupyter"))
	} else if home := variable(env, "HOME"); home != "" {
		dirs = append(dirs, filepath.Join(home, ".local/share/jupyter"))
	}
	for _, dir := range filepath.SplitList(variable(env, "PATH")) {
		dirs = append(dirs, filepath.Join(filepath.Dir(dir), "share/jupyter"))
	}
	return append(dirs, "/usr/local/share/jupyter", "/usr/share/jupyter")
}

const (
	maxSpec  = 64 << 10 // bytes of a kernel.json
	maxSpecs = 256      // of one directory that are looked at
)

// findSpec finds a kernelspec by its name, that of its directory, or else by the language it is for.
func findSpec(env []string, name string) (program, bool) {
	dirs := specDirs(env)
	for _, dir := range dirs {
		if p, ok := readSpec(filepath.Join(dir, "kernels", strings.ToLower(name))); ok {
			return p, true
		}
	}
	for _, dir := range dirs {
		for _, entry := range specsIn(dir) {
			p, ok := readSpec(filepath.Join(dir, "kernels", entry))
			if ok && (strings.EqualFold(entry, name) || strings.EqualFold(p.Language, name)) {
				return p, true
			}
		}
	}
	return program{}, false
}

func specsIn(dir string) []string {
	f, err := os.Open(filepath.Join(dir, "kernels"))
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(maxSpecs)
	slices.Sort(names)
	return names
}

// languages are the names of the kernelspecs there are.
func languages(env []string) []string {
	var names []string
	for _, dir := range specDirs(env) {
		for _, name := range specsIn(dir) {
			if _, ok := readSpec(filepath.Join(dir, "kernels", name)); ok && len(names) < maxSpecs {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func readSpec(dir string) (p program, ok bool) {
	f, err := os.OpenFile(filepath.Join(dir, "kernel.json"), os.O_RDONLY|unix.O_NONBLOCK, 0) // it may be a FIFO
	if err != nil {
		return p, false
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return p, false
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSpec))
	if err != nil || json.Unmarshal(b, &p) != nil || len(p.Argv) == 0 {
		return program{}, false
	}
	for i, arg := range p.Argv {
		p.Argv[i] = strings.ReplaceAll(arg, "{resource_dir}", dir)
	}
	return p, true
}
