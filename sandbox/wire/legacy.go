package wire

import (
	"slices"
	"strings"
)

// isLegacy tells the arguments that older versions wrote and no kind has today.
func isLegacy(key string) bool {
	switch key {
	case "timestamp", "keep_prompt", "task_completed", "is_confirmed", "images_urls", "translated_ipython_code":
		return true
	}
	return false
}

// modern rewrites args of an older version: some are dropped, some renamed, and translated_ipython_code, if it is a call
// of the file editor, is taken apart into its arguments.
func modern(args []byte) []byte {
	var list []member
	var code string
	translated := false
	m := object(args, "args")
	for m.next() {
		switch key := string(m.key); key {
		case "timestamp", "keep_prompt", "task_completed":
		case "is_confirmed":
			if !m.null() {
				list = put(list, "confirmation_state", m.value)
			}
		case "images_urls":
			list = put(list, "image_urls", m.value)
		case "translated_ipython_code":
			if translated = true; m.value[0] == '"' {
				code, _ = unquote(m.value)
			}
		default:
			list = put(list, key, m.value)
		}
	}
	if translated {
		for _, arg := range editorCall(code) {
			if !isLegacy(arg.name) { // else this would never end
				list = put(list, arg.name, arg.value)
			}
		}
		list = slices.DeleteFunc(list, func(m member) bool { return m.name == "command" && string(m.value) == `"view"` })
	}
	return appendMembers(nil, list)
}

// editorCall takes print(file_editor(**{…})) apart; nil if code is something else.
func editorCall(code string) []member {
	literal, ok := strings.CutPrefix(code, "print(file_editor(**")
	if !ok {
		return nil
	}
	if literal, ok = strings.CutSuffix(literal, "))"); !ok {
		return nil
	}
	raw, err := literalJSON(literal)
	if err != nil {
		return nil
	}
	var list []member
	m := object(raw, "the literal")
	for m.next() {
		list = put(list, string(m.key), m.value)
	}
	return list
}
