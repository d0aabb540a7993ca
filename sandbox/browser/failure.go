package browser

import "fmt"

// A failure is how a step failed, in the words of what agents have learnt to read: the name of an exception, and a text.
type failure struct{ kind, text string }

func (f *failure) Error() string { return f.kind + ": " + f.text }

func failed(kind, format string, args ...any) error {
	return &failure{kind, fmt.Sprintf(format, args...)}
}

// said is an error that agents read as it stands.
type said string

func (s said) Error() string { return string(s) }
