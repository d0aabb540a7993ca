package browser

import (
	"strings"
	"unicode/utf8"

	"github.com/chromedp/cdproto/input"
)

// A key is what the browser is told of one.
type key struct {
	name, code, text string
	number           int64 // Windows' virtual key code, which is what pages see as keyCode
}

// keyOf gives the key of a name as the web names it ("Enter", "a", "ArrowUp"); ok is false if there is none.
func keyOf(name string) (key, bool) {
	switch name {
	case "Enter", "\n", "\r":
		return key{"Enter", "Enter", "\r", 13}, true
	case "Tab":
		return key{"Tab", "Tab", "", 9}, true
	case "Backspace":
		return key{"Backspace", "Backspace", "", 8}, true
	case "Delete":
		return key{"Delete", "Delete", "", 46}, true
	case "Escape":
		return key{"Escape", "Escape", "", 27}, true
	case "Space", " ":
		return key{" ", "Space", " ", 32}, true
	case "ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown", "PageUp", "PageDown", "End", "Home", "Insert":
		return key{name, name, "", map[string]int64{"PageUp": 33, "PageDown": 34, "End": 35, "Home": 36, "ArrowLeft": 37,
			"ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Insert": 45}[name]}, true
	case "Shift", "Control", "Alt", "Meta", "ControlOrMeta":
		name = strings.TrimSuffix(name, "OrMeta")
		return key{name, name + "Left", "", map[string]int64{"Shift": 16, "Control": 17, "Alt": 18, "Meta": 91}[name]}, true
	}
	if n := functionKey(name); n > 0 {
		return key{name, name, "", 111 + n}, true
	}
	r, size := utf8.DecodeRuneInString(name)
	if size == 0 || size != len(name) || r == utf8.RuneError {
		return key{}, false
	}
	return character(r, name), true
}

// functionKey is the number of F1 to F12, else 0.
func functionKey(name string) (n int64) {
	if len(name) < 2 || len(name) > 3 || name[0] != 'F' {
		return 0
	}
	for _, c := range name[1:] {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int64(c-'0')
	}
	if n > 12 {
		return 0
	}
	return n
}

// character is the key that types r on an American keyboard; one that is not on it types the character all the same.
func character(r rune, s string) key {
	switch {
	case r >= 'a' && r <= 'z':
		return key{s, "Key" + strings.ToUpper(s), s, int64(r - 'a' + 'A')}
	case r >= 'A' && r <= 'Z':
		return key{s, "Key" + s, s, int64(r)}
	case r >= '0' && r <= '9':
		return key{s, "Digit" + s, s, int64(r)}
	}
	if i := strings.IndexRune(")!@#$%^&*(", r); i >= 0 {
		return key{s, "Digit" + string(rune('0'+i)), s, int64('0' + i)}
	}
	const signs = ";:=+,<-_.>/?`~[{\\|]}'\""
	if i := strings.IndexRune(signs, r); i >= 0 {
		codes := [...]string{"Semicolon", "Equal", "Comma", "Minus", "Period", "Slash", "Backquote", "BracketLeft", "Backslash",
			"BracketRight", "Quote"}
		numbers := [...]int64{186, 187, 188, 189, 190, 191, 192, 219, 220, 221, 222}
		return key{s, codes[i/2], s, numbers[i/2]}
	}
	return key{s, "", s, 0}
}

// A stroke is the pressing and letting go of keys: all of a combination as "Control+Shift+a".
type stroke struct {
	held []key // modifiers
	key  key
	bits int64 // of the modifiers
}

func strokeOf(combination string) (s stroke, err error) {
	for {
		name, rest, more := strings.Cut(combination, "+")
		if name == "" && more { // the key is the plus itself
			name, more = combination, false
		}
		k, ok := keyOf(name)
		if !ok {
			return s, failed("Error", "Keyboard.press: Unknown key: %q", name)
		}
		if !more {
			s.key = k
			return s, nil
		}
		bits, err := modifierBits([]string{name})
		if err != nil {
			return s, err
		}
		s.held, s.bits, combination = append(s.held, k), s.bits|bits, rest
	}
}

// events are what the browser is told, in order.
func (s stroke) events() []input.DispatchKeyEventParams {
	var down, up []input.DispatchKeyEventParams
	bits := int64(0)
	add := func(k key, text string) {
		typ := input.DispatchKeyEventTypeRawKeyDown
		if text != "" {
			typ = input.DispatchKeyEventTypeKeyDown
		}
		e := input.DispatchKeyEventParams{Type: typ, Modifiers: bits, Key: k.name, Code: k.code, WindowsVirtualKeyCode: k.number,
			NativeVirtualKeyCode: k.number, Text: text, UnmodifiedText: text}
		down = append(down, e)
		e.Type, e.Text, e.UnmodifiedText = input.DispatchKeyEventTypeKeyUp, "", ""
		up = append([]input.DispatchKeyEventParams{e}, up...)
	}
	for _, k := range s.held {
		one, _ := modifierBits([]string{k.name})
		bits |= one
		add(k, "")
	}
	k, text := s.key, s.key.text
	if bits&8 != 0 && len(k.name) == 1 && k.name[0] >= 'a' && k.name[0] <= 'z' { // Shift+a types A
		k.name, text = strings.ToUpper(k.name), strings.ToUpper(text)
	}
	if bits&^8 != 0 { // a combination is no text
		text = ""
	}
	add(k, text)
	return append(down, up...)
}
