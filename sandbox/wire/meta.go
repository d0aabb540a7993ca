package wire

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// A meta is the Meta of an action or an observation.
type meta = map[string]json.RawMessage

// keep keeps the value of the current member under prefix + its key.
func (m *members) keep(into *meta, prefix string) { *into = with(*into, prefix+string(m.key), m.value) }

func with(m meta, name string, raw []byte) meta {
	if m == nil {
		m = meta{}
	}
	m[name] = oneLine(raw)
	return m
}

// oneLine copies JSON without the line breaks between its values, so that an event may stand in a stream of lines.
func oneLine(raw []byte) json.RawMessage { return appendRaw(nil, raw) }

// appendRaw appends JSON from elsewhere on one line.
func appendRaw(dst []byte, raw json.RawMessage) []byte {
	if bytes.IndexByte(raw, '\n') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		return append(dst, raw...)
	}
	buf := bytes.NewBuffer(dst)
	if json.Compact(buf, raw) != nil {
		return append(dst, "null"...) // the caller's mistake; the event stays JSON
	}
	return buf.Bytes()
}

// appendMember appends `"key":value,` if meta has the key.
func appendMember(dst []byte, from meta, key string) []byte {
	raw, ok := from[key]
	if !ok || len(raw) == 0 {
		return dst
	}
	dst = append(dst, '"')
	dst = append(dst, key...)
	dst = append(dst, '"', ':')
	return append(appendRaw(dst, raw), ',')
}

// appendRest appends `,"key":value` for the members of meta under prefix that have no place of their own, by name.
func appendRest(dst []byte, from meta, prefix string, placed ...string) []byte {
	if len(from) == 0 {
		return dst
	}
	var names []string
	for name := range from {
		rest, ok := strings.CutPrefix(name, prefix)
		if ok && !slices.Contains(placed, rest) && !(prefix == "" && nested(rest)) && !(prefix == "extras." && strings.HasPrefix(rest, "metadata.")) {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		dst = append(dst, ',')
		dst = appendString(dst, name)
		dst = append(dst, ':')
		dst = appendRaw(dst, from[prefix+name])
	}
	return dst
}

func nested(name string) bool {
	return strings.HasPrefix(name, "args.") || strings.HasPrefix(name, "extras.")
}
