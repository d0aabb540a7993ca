package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// sources are the words for who speaks, in the OpenHands form and in the native one. Their values are shared: as all of
// Meta they are never changed.
var sources = [...]struct{ openHands, native json.RawMessage }{
	{json.RawMessage(`"agent"`), json.RawMessage(`"agent"`)},
	{json.RawMessage(`"environment"`), json.RawMessage(`"runtime"`)},
	{json.RawMessage(`"user"`), json.RawMessage(`"controller"`)},
}

// nativeSource is the native word for an OpenHands source, nil if that is no such word.
func nativeSource(raw []byte) []byte {
	for i := range sources {
		if string(sources[i].openHands) == string(raw) {
			return sources[i].native
		}
	}
	return nil
}

func (m *members) source(into *meta) {
	for i := range sources {
		if string(sources[i].native) == string(m.value) {
			*into = set(*into, "source", sources[i].openHands)
			return
		}
	}
	m.fail(`"agent", "runtime" or "controller"`)
}

// timestamp takes a native timestamp, which becomes one of OpenHands: the same without its zone.
func (m *members) timestamp(into *meta) {
	v := m.value
	if n := len(v); n > 3 && v[n-2] == 'Z' {
		raw := make([]byte, 0, n-1)
		raw = append(append(raw, v[:n-2]...), '"')
		if isTime(raw) {
			*into = set(*into, "timestamp", raw)
			return
		}
	}
	t, err := time.Parse(time.RFC3339Nano, text(v))
	if err != nil || t.UTC().Year() < 0 || t.UTC().Year() > 9999 {
		m.fail("a time as RFC 3339 has it, in UTC")
		return
	}
	*into = set(*into, "timestamp", t.UTC().AppendFormat(nil, `"2006-01-02T15:04:05.999999999"`))
}

// isTime says whether raw is a timestamp as OpenHands writes it, which with a Z is a native one: "2026-01-02T03:04:05", and
// a fraction of up to nine digits.
func isTime(raw []byte) bool {
	const shape = `"0000-00-00T00:00:00`
	n := len(raw)
	if n < len(shape)+1 || raw[n-1] != '"' {
		return false
	}
	for i := range len(shape) {
		if c := raw[i]; shape[i] == '0' && (c < '0' || c > '9') || shape[i] != '0' && c != shape[i] {
			return false
		}
	}
	fraction := raw[len(shape) : n-1]
	if len(fraction) == 1 || len(fraction) > 10 || len(fraction) > 0 && fraction[0] != '.' {
		return false
	}
	for _, c := range fraction[min(1, len(fraction)):] {
		if c < '0' || c > '9' {
			return false
		}
	}
	two := func(i int) int { return int(raw[i]-'0')*10 + int(raw[i+1]-'0') }
	year, month, day := two(1)*100+two(3), time.Month(two(6)), two(9)
	if month < 1 || month > 12 || two(12) > 23 || two(15) > 59 || two(18) > 59 || day < 1 {
		return false
	}
	return day <= time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// isLabel says whether raw is an integer or a string, which the id of an event may be.
func isLabel(raw []byte) bool {
	return len(raw) > 0 && (raw[0] == '"' || raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}

// sessionName reads the name of a session.
func (m *members) sessionName() string {
	s := m.text()
	if err := sandbox.CheckSession(s); err != nil && m.err == nil {
		m.err = fmt.Errorf("'session' %w", errors.Unwrap(err))
	}
	return s
}

// appendNativeTop appends those members of Meta that the native form has itself.
func appendNativeTop(dst []byte, from meta) []byte {
	if len(from) == 0 {
		return dst
	}
	if raw := from["timestamp"]; isTime(raw) {
		dst = append(append(dst, `,"timestamp":`...), raw[:len(raw)-1]...)
		dst = append(dst, `Z"`...)
	}
	if word := nativeSource(from["source"]); word != nil {
		dst = append(append(dst, `,"source":`...), word...)
	}
	if raw := from["id"]; isLabel(raw) {
		dst = append(append(dst, `,"id":`...), raw...)
	}
	if raw := from["cause"]; isLabel(raw) {
		dst = append(append(dst, `,"cause":`...), raw...)
	}
	return dst
}

// appendNativeMeta appends the meta member: what Meta has besides, by name, if keep wants it.
func appendNativeMeta(dst []byte, from meta, keep func(name string, raw []byte) bool) []byte {
	var names []string
	for name, raw := range from {
		switch name {
		case "timestamp":
			if isTime(raw) {
				continue
			}
		case "source":
			if nativeSource(raw) != nil {
				continue
			}
		case "id", "cause":
			if isLabel(raw) {
				continue
			}
		}
		if len(raw) > 0 && !fromBelow(name) && keep(name, raw) {
			names = append(names, name)
		}
	}
	if names == nil {
		return dst
	}
	slices.Sort(names)
	dst = append(dst, `,"meta":{`...)
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendRaw(append(appendString(dst, name), ':'), from[name])
	}
	return append(dst, '}')
}

func set(m meta, name string, raw json.RawMessage) meta {
	if m == nil {
		m = make(meta, 2)
	}
	m[name] = raw
	return m
}

// without takes a name away; a Meta with nothing in it is nil, as one that never had anything.
func without(m meta, name string) meta {
	if delete(m, name); len(m) == 0 {
		return nil
	}
	return m
}
