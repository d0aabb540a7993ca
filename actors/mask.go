package actors

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// hidden stands in stored events where a secret was.
const hidden = "<secret_hidden>"

// shortestSecret is the length below which a value is not looked for: "1" or "true" is no secret, and taking it out of
// every event would leave nothing readable.
const shortestSecret = 6

// shortestUnknown is the same for a variable whose name does not say that it is secret: a shorter one ("staging", "node20")
// would be guessed before it would be found in a log.
const shortestUnknown = 8

// secretNames are parts of names, in capitals, of variables whose values are secret.
var secretNames = []string{"KEY", "TOKEN", "SECRET", "PASS", "PWD", "CREDENTIAL", "AUTH", "COOKIE", "PRIVATE", "SIGNATURE", "DSN"}

// openNames are variables whose values are no secret: they stand in every log and in every line of output.
var openNames = []string{
	"CI", "COLORTERM", "DEBIAN_FRONTEND", "DISPLAY", "EDITOR", "GIT_PAGER", "HOME", "HOSTNAME", "LANG", "LANGUAGE", "LOGNAME", "MAIL",
	"NO_COLOR", "OLDPWD", "PAGER", "PATH", "PS1", "PWD", "PYTHONUNBUFFERED", "SHELL", "SHLVL", "TEMP", "TERM", "TMP", "TMPDIR", "TZ",
	"USER", "VISUAL",
}

// secretsOf are the values of variables that must not be on record.
func secretsOf(vars map[string]string) []string {
	var secrets []string
	for name, value := range vars {
		if isSecret(strings.ToUpper(name), value) {
			secrets = append(secrets, value)
		}
	}
	return secrets
}

// isSecret decides by the name, in capitals; in doubt a value of some length is secret.
func isSecret(name, value string) bool {
	if slices.Contains(openNames, name) || strings.HasPrefix(name, "LC_") {
		return false
	}
	for _, part := range secretNames {
		if strings.Contains(name, part) {
			return true
		}
	}
	return len(value) >= shortestUnknown && !strings.HasSuffix(name, "PATH") && !strings.HasSuffix(name, "_HOME")
}

// A masker takes secrets out of events. The zero masker knows none. It does not change, so it may be shared.
type masker struct{ r *strings.Replacer }

// newMasker makes a masker of secrets. They are found as they are, in their JSON and shell spellings, and, of those with
// several lines, each longer line by itself, since terminals write line ends their own way.
func newMasker(secrets []string) masker {
	var forms []string
	add := func(s string) {
		if len(s) >= shortestSecret {
			forms = append(forms, s, jsonBody(s), strings.ReplaceAll(s, `'`, `'\''`))
		}
	}
	for _, s := range secrets {
		add(s)
		if lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }); len(lines) > 1 {
			for _, l := range lines {
				if len(l) >= 2*shortestSecret {
					add(l)
				}
			}
		}
	}
	if len(forms) == 0 {
		return masker{}
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) }) // the longest first: one may begin another
	pairs := make([]string, 0, 2*len(forms))
	for _, f := range slices.Compact(forms) {
		pairs = append(pairs, f, hidden)
	}
	return masker{strings.NewReplacer(pairs...)}
}

// jsonBody is s as it stands between the quotes of a JSON string.
func jsonBody(s string) string {
	b := quoteJSON(nil, s)
	return string(b[1 : len(b)-1])
}

func quoteJSON(dst []byte, s string) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can be encoded, and a buffer takes it
	return append(dst, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// text masks a plain text.
func (m masker) text(s string) string {
	if m.r == nil {
		return s
	}
	return m.r.Replace(s)
}

// plain are the members of an event that hold words of ours and no text of anybody's; they are left as they are.
var plain = []string{"id", "timestamp", "source", "cause", "action", "observation"}

// event masks every string in a JSON event, at any depth and in arrays too, and changes nothing else in it.
func (m masker) event(b []byte) []byte {
	if m.r == nil {
		return b
	}
	out := make([]byte, 0, len(b))
	depth, keep := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case '"':
			end := stringEnd(b, i)
			if end < i+2 { // not JSON
				return append(out, b[i:]...)
			}
			key := isKey(b, end)
			if !key && !keep {
				out = m.literal(out, b[i:end])
			} else {
				out = append(out, b[i:end]...)
			}
			keep = key && depth == 1 && slices.Contains(plain, string(b[i+1:end-1]))
			i = end - 1
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			keep = false
		}
		out = append(out, b[i])
	}
	return out
}

// literal masks one string literal.
func (m masker) literal(dst, lit []byte) []byte {
	var s string
	if bytes.IndexByte(lit, '\\') < 0 {
		s = string(lit[1 : len(lit)-1])
	} else if json.Unmarshal(lit, &s) != nil {
		return append(dst, lit...)
	}
	masked := m.r.Replace(s)
	if masked == s {
		return append(dst, lit...)
	}
	return quoteJSON(dst, masked)
}

// stringEnd is the index after the string literal that begins at i.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// isKey says whether the literal that ends before i is a member's name.
func isKey(b []byte, i int) bool {
	for ; i < len(b); i++ {
		switch b[i] {
		case ' ', '\t', '\r', '\n':
		default:
			return b[i] == ':'
		}
	}
	return false
}
