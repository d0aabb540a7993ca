package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/server"
)

// takeKey gives the environment without the server's key, and the key, which it also wipes where the kernel shows this
// process's environment to programs of the same user: /proc/PID/environ.
func takeKey(environ []string) (rest []string, key string) {
	for _, v := range environ {
		if value, ok := strings.CutPrefix(v, server.EnvKey+"="); ok {
			key = value
			os.Unsetenv(server.EnvKey)
			wipe(v)
			continue
		}
		rest = append(rest, v)
	}
	return rest, key
}

// wipe overwrites the value of a variable in the memory that the kernel set up for the environment. Where there is no
// such /proc, nothing shows it either.
func wipe(variable string) {
	shown, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return
	}
	at := bytes.Index(append([]byte{0}, shown...), append([]byte{0}, variable...))
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil || at < 0 {
		return
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const envStart = 50 - 3 // fields are counted from 1, and these begin with the third
	if len(fields) <= envStart {
		return
	}
	start, err := strconv.ParseInt(string(fields[envStart]), 10, 64)
	if err != nil || start == 0 {
		return
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer memory.Close()
	name := len(server.EnvKey) + 1
	_, _ = memory.WriteAt(make([]byte, len(variable)-name), start+int64(at+name))
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

// readEnv reads variables that are each ended by a NUL byte, the only one that no value has. On standard input an empty one ends
// them all: the end of a pipe through which others pass things on may come milliseconds after what was written to it, and also if its
// writer has died between two variables, of which the key may be the second. Without it nothing has been said.
func readEnv(file string, in io.Reader) ([]string, error) {
	read := func() ([]byte, error) { return os.ReadFile(file) }
	if file == "-" {
		read = func() ([]byte, error) { return readUntil(in, "\x00\x00") }
	}
	b, err := read()
	if err != nil {
		return nil, invalid("--env-file", err)
	}
	if text := string(b); file == "-" && text != "" && text != "\x00" && !strings.HasSuffix(text, "\x00\x00") {
		return nil, invalid("--env-file", errors.New("standard input ended before all was said, of which the key may be a part: whoever writes it has "+
			"died, or has not ended it with one NUL byte more than that of the last variable"))
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

// readUntil reads to the end, or until it has read something that ends with end.
func readUntil(r io.Reader, end string) (b []byte, err error) {
	buf := make([]byte, 16<<10)
	for err == nil && !bytes.HasSuffix(b, []byte(end)) {
		var n int
		n, err = r.Read(buf)
		b = append(b, buf[:n]...)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b, err
}
