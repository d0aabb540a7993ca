package wire

import (
	"encoding/json"
	"slices"
)

// A member is one name and value of an object.
type member struct {
	name  string
	value json.RawMessage
}

// put replaces the member of that name or adds it.
func put(list []member, name string, value []byte) []member {
	if i := slices.IndexFunc(list, func(m member) bool { return m.name == name }); i >= 0 {
		list[i].value = value
		return list
	}
	return append(list, member{name, value})
}

func appendMembers(dst []byte, list []member) []byte {
	dst = append(dst, '{')
	for i, m := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, m.name), ':')
		dst = appendRaw(dst, m.value)
	}
	return append(dst, '}')
}

// lastOfEach leaves of members with the same name the last value, where the first stood, as Python does.
func lastOfEach(list []member) []member {
	at := make(map[string]int, len(list))
	kept := list[:0]
	for _, m := range list {
		if i, ok := at[m.name]; ok {
			kept[i].value = m.value
			continue
		}
		at[m.name] = len(kept)
		kept = append(kept, m)
	}
	return kept
}
