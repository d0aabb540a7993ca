package wire

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// A meta is the Meta of an action or an observation.
type meta = map[string]json.RawMessage

// keep keeps the value of the current member under prefix + its key. A key that would say it comes from further below,
// as "args.x" beside args, is dropped: nobody writes one, and it could pass for what it is not.
func (m *members) keep(into *meta, prefix string) {
	if key := string(m.key); !fromBelow(key) {
		*into = with(*into, prefix+key, m.value)
	}
}

func fromBelow(key string) bool {
	return strings.HasPrefix(key, "args.") || strings.HasPrefix(key, "extras.") || strings.HasPrefix(key, "metadata.")
}

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

// appendRest appends `,"key":value`, by name, for the members of meta under prefix that have no place of their own and
// are not from below.
func appendRest(dst []byte, from meta, prefix string, placed ...string) []byte {
	if len(from) == 0 {
		return dst
	}
	var names []string
	for name := range from {
		rest, ok := strings.CutPrefix(name, prefix)
		if ok && !slices.Contains(placed, rest) && !fromBelow(rest) {
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
