package wire

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzScan holds the scanner against encoding/json: they must agree on what is JSON and what a string says.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"a":[1,-0.5e+9,{"b":null}],"\u00e9":"\ud83d\ude00"}`, `[]`, `{}`, ` "x" `, `01`, `-`, `1.`, `tru`, `"\x"`, "\"\xff\"", `[1,]`,
		`{"a"}`, `{"a":1,}`, `"\ud800"`, `"\ud800\u0041"`, `"\\"`, `"a\\\""`, `{"":""}`, `[[],{},"]"]`, "\"\x1f\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, err := check(b)
		if want := json.Valid(b) && utf8.Valid(b); (err == nil) != want && !strings.Contains(string(b), strings.Repeat("[", 500)) {
			t.Fatalf("%q: %v, but valid is %v", b, err, want)
		}
		if err != nil {
			return
		}
		walk(t, raw)
		if len(raw) > 0 && raw[0] == '{' {
			got, want := map[string]json.RawMessage{}, map[string]json.RawMessage{}
			m := object(raw, "it")
			for m.next() {
				got[string(m.key)] = m.value
			}
			if err := json.Unmarshal(raw, &want); err != nil || len(got) != len(want) {
				t.Fatalf("%q has members %q, want %q, %v", raw, got, want, err)
			}
			for k, v := range want {
				if string(got[k]) != string(v) {
					t.Fatalf("%q: member %q is %q, want %q", raw, k, got[k], v)
				}
			}
		}
		repr(raw)
	})
}

// walk visits every value below raw and compares the strings.
func walk(t *testing.T, raw []byte) {
	switch raw[0] {
	case '"':
		got, _ := unquote(raw)
		var want string
		if err := json.Unmarshal(raw, &want); err != nil || got != want {
			t.Fatalf("%q reads %q, want %q, %v", raw, got, want, err)
		}
	case '{':
		m := object(raw, "it")
		for m.next() {
			walk(t, m.value)
		}
	case '[':
		elements(raw, func(value []byte) error {
			walk(t, value)
			return nil
		})
	}
}

// FuzzText holds the writer of strings against the reader.
func FuzzText(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\x1f\"\\\u2028<\xff\xc3\x28\U0001F600")
	f.Fuzz(func(t *testing.T, s string) {
		b := appendString(nil, s)
		var got string
		if err := json.Unmarshal(b, &got); err != nil || got != strings.ToValidUTF8(s, "\uFFFD") && utf8.ValidString(s) {
			t.Fatalf("%q is written %q, %v", s, b, err)
		}
		if mine, err := unquote(b); err != nil || mine != got {
			t.Fatalf("%q reads %q, want %q, %v", b, mine, got, err)
		}
	})
}

func TestNestingIsBounded(t *testing.T) {
	for n, ok := range map[int]bool{maxDepth: true, maxDepth + 1: false, 1_000_000: false} {
		_, err := check([]byte(strings.Repeat("[", n) + strings.Repeat("]", n)))
		if (err == nil) != ok {
			t.Errorf("%d deep: %v", n, err)
		}
	}
}

func TestLiterals(t *testing.T) {
	for in, want := range map[string]string{
		`{'a': 1, "b": [True, False, None], 'c': (1, -2.5,)}`: `{"a":1,"b":[true,false,null],"c":[1,-2.5]}`,
		`{}`:                            `{}`,
		` { 'a' : 'x' 'y' , } `:         `{"a":"xy"}`,
		`{'a': 'it\'s \x41\u00e9\n\q'}`: `{"a":"it's Aé\n\\q"}`,
		`{'a': '''x'y''z'''}`:           `{"a":"x'y''z"}`,
		"{'a': '\U0001F600'}":           `{"a":"😀"}`,
	} {
		if got, err := literalJSON(in); err != nil || string(got) != want {
			t.Errorf("%s reads as %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{``, `{`, `{'a'}`, `{'a': }`, `{'a': 'x}`, `{'a': 'x'`, `{1: 2}`, `{'a': f()}`, `{'a': 1} 2`, `{'a': 'x` + "\n" + `'}`, `{'a': '\`, `{'a': '\xZZ'}`, `{'a': 1e}`, `{'a': +1}`} {
		if got, err := literalJSON(in); err == nil {
			t.Errorf("%s reads as %s", in, got)
		}
	}
}

// TestEightAtATime holds the loops over words against the table: every byte, at every place, among bytes that may lend to it.
func TestEightAtATime(t *testing.T) {
	for c := range 256 {
		for _, around := range []string{"a", "\x1f", "\"", "\\", "\x7f", "\x80", "\xff", " ", "!", "[", "]", "#"} {
			for at := range 20 {
				b := []byte(strings.Repeat("a", at) + string([]byte{byte(c)}) + strings.Repeat(around, 9))
				want := slices.IndexFunc(b, func(c byte) bool { return !plain[c] })
				if got := verbatim(string(b), 0, false); got != want && (want >= 0 || got != len(b)) {
					t.Fatalf("verbatim of %q gives %d, want %d", b, got, want)
				}
				want = slices.IndexFunc(b, func(c byte) bool { return !plain[c] && c < utf8.RuneSelf })
				if got := verbatim(b, 0, true); got != want && (want >= 0 || got != len(b)) {
					t.Fatalf("verbatim of UTF-8 in %q gives %d, want %d", b, got, want)
				}
			}
		}
	}
}
