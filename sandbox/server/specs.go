package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/sandtree/sandtree/sandbox"
)

// maxSpec is the longest spec of a session or a process in bytes: its arguments and variables. Linux takes 2 MiB of both,
// and what is read from standard input may be put into a spec too.
const maxSpec = 16 << 20

// decodeSpec reads an object of JSON without members that are not known; no bytes leave v as it is. Code: Invalid.
func decodeSpec(op string, b []byte, v any) error {
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	if len(b) > maxSpec {
		return refused(sandbox.Invalid, op, fmt.Sprintf("the request has %d bytes, over %d: put what is long into a file", len(b), maxSpec))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		return &sandbox.Error{Code: sandbox.Invalid, Op: op, Err: err}
	}
	return nil
}

// variables gives variables as a program takes them, KEY=VALUE, sorted.
func variables(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}

// checkVariables looks for a name or a value that no variable can have, or that is not the client's to set. Code: Invalid.
func checkVariables(op string, env map[string]string) error {
	for name, value := range env {
		err := sandbox.CheckEnv(name, value)
		if err == nil && (name == EnvMark || name == EnvPID || name == EnvKey) {
			err = fmt.Errorf("%s is not to be changed", name)
		}
		if err != nil {
			return &sandbox.Error{Code: sandbox.Invalid, Op: op, Err: err}
		}
	}
	return nil
}
