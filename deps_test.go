// Package sandtree holds no code: its tests are the laws of the house.
package sandtree

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sandtree/sandtree/"

// mayImport says what each package may import of ours, besides internal/*. A name that ends in "/*" is everything below;
// "*" in the middle is one folder. The first row whose pattern fits a package is its row. Widening a row takes an ADR.
var mayImport = []struct{ pkg, imports string }{
	{"internal/cli", "sandbox"},
	{"internal/egress", "sandbox"},
	{"internal/audit", "sandbox"},
	{"internal/trace", "sandbox"},
	{"internal/figures", "sandbox"},
	{"internal/*", ""},
	{"sandbox", ""},
	{"transport/breaker", ""},
	{"actors/kit", "sandbox"},
	{"sandbox/server", "sandbox sandbox/*"},
	{"sandbox/*", "sandbox"},
	{"transport", "sandbox sandbox/wire transport/breaker"},
	{"backends", "sandbox sandbox/wire transport"},
	{"backends/standard", "backends backends/*"},
	{"backends/internal/homes", "sandbox backends"},
	{"backends/*", "sandbox backends backends/internal/homes transport"},
	{"actors/journal", "sandbox sandbox/wire"},
	{"actors", "sandbox sandbox/wire transport backends actors/journal actors/kit"},
	{"supervisor/config", "sandbox backends actors actors/*"},
	{"supervisor/cluster", "sandbox backends actors actors/*"},
	{"supervisor", "supervisor/config supervisor/cluster sandbox sandbox/wire transport transport/breaker backends actors actors/*"},
	{"supervisor/instruments", "supervisor sandbox transport transport/breaker backends actors actors/*"},
	{"supervisor/gateway", "supervisor supervisor/instruments supervisor/config supervisor/cluster sandbox sandbox/wire transport transport/breaker backends actors actors/*"},
	{"testing/runtimetest", "sandbox sandbox/wire"},
	{"testing/drivertest", "sandbox backends testing/runtimetest"},
	{"testing/*", "sandbox sandbox/* transport transport/breaker backends backends/* actors actors/* supervisor supervisor/* testing/*"},
	{"bench/result", ""},
	{"bench/report", "bench/result"},
	{"bench/compare", "bench/result"},
	{"bench/target", "sandbox sandbox/wire transport transport/breaker backends backends/* actors actors/* supervisor supervisor/*"},
	{"bench", "bench/result bench/target sandbox sandbox/wire transport transport/breaker backends backends/* actors actors/* supervisor supervisor/* testing/*"},
	{"cmd/sandboxd", "sandbox sandbox/*"},
	{"cmd/sandtree-gvisor", ""},
	{"cmd/sandtree", "bench bench/* sandbox sandbox/wire transport transport/breaker backends backends/* actors actors/* supervisor supervisor/*"},
}

// exclusive names outside modules that only some packages may import, so that their quirks are met in one place.
var exclusive = map[string][]string{
	"github.com/asynkron/protoactor-go": {"actors/kit", "supervisor/cluster"},
	"github.com/valyala/fasthttp":       {"sandbox/server", "transport", "supervisor/gateway", "internal/floor", "testing/pipenet"},
}

type listed struct {
	ImportPath, Dir string
	Imports         []string
	GoFiles         []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func fits(pattern, pkg string) bool {
	if below, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(pkg, below+"/")
	}
	return pattern == pkg
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		pkg, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours || len(p.GoFiles) == 0 {
			continue
		}
		i := slices.IndexFunc(mayImport, func(r struct{ pkg, imports string }) bool { return fits(r.pkg, pkg) })
		if i < 0 {
			t.Errorf("%s has no row in the table", pkg)
			continue
		}
		allowed := strings.Fields(mayImport[i].imports)
		for _, imp := range p.Imports {
			if dep, ours := strings.CutPrefix(imp, module); ours && !strings.HasPrefix(dep, "internal/") &&
				!slices.ContainsFunc(allowed, func(a string) bool { return fits(a, dep) }) {
				t.Errorf("%s imports %s: its row allows %q", pkg, dep, allowed)
			}
			for mod, who := range exclusive {
				if (imp == mod || strings.HasPrefix(imp, mod+"/")) && !slices.Contains(who, pkg) {
					t.Errorf("%s imports %s: only %q may", pkg, imp, who)
				}
			}
		}
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	for _, p := range packages(t) {
		var with []string
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc != nil {
				with = append(with, f)
			}
		}
		if len(p.GoFiles) > 0 && len(with) != 1 {
			t.Errorf("%s: %d files with a package comment, want one: %q", p.ImportPath, len(with), with)
		}
	}
}
