package main

import (
	"fmt"
	"os"
	"strings"
	"unsafe"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
)

// takeKey gives the environment without the server's key, and the key. It wipes the key where the kernel shows the
// environment of this process to programs of the same user (/proc/PID/environ): the runtime's strings lie there.
func takeKey(environ []string) (rest []string, key string) {
	if v, ok := os.LookupEnv(server.EnvKey); ok && v != "" {
		key = strings.Clone(v)
		clear(unsafe.Slice(unsafe.StringData(v), len(v)))
		os.Unsetenv(server.EnvKey)
	}
	for _, v := range environ {
		if !strings.HasPrefix(v, server.EnvKey+"=") {
			rest = append(rest, v)
		}
	}
	return rest, key
}

// variable is the value of a variable, "" if there is none.
func variable(environ []string, name string) string {
	for i := len(environ) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(environ[i], "="); ok && k == name {
			return v
		}
	}
	return ""
}

// overlay gives base with the variables of extra set.
func overlay(base, extra []string) []string {
	names := map[string]bool{}
	for _, v := range extra {
		name, _, _ := strings.Cut(v, "=")
		names[name] = true
	}
	var out []string
	for _, v := range base {
		if name, _, _ := strings.Cut(v, "="); !names[name] {
			out = append(out, v)
		}
	}
	return append(out, extra...)
}

// readEnv reads variables that are each ended by a NUL byte, the only one that no value has.
func readEnv(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, invalid("--env-file", err)
	}
	var env []string
	for i, v := range strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00") {
		if v == "" {
			continue
		}
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			return nil, invalid("--env-file", fmt.Errorf("%s: variable %d has no '='", file, i+1))
		}
		if err := sandbox.CheckEnv(name, value); err != nil {
			return nil, invalid("--env-file", fmt.Errorf("%s: %w", file, err))
		}
		env = append(env, v)
	}
	return env, nil
}
