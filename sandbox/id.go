package sandbox

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// ID names a runtime and the sandbox it has: 1 to 64 bytes of a-z, A-Z, 0-9, '-', '_' and '.', of which the first is
// a letter or a digit, so that it can stand in a path, a label and a URL.
type ID string

const maxID = 64 // bytes: a label value of Kubernetes has 63, a file name 255; with a prefix it still fits both

// Check says whether id is well formed. Code: Invalid.
func (id ID) Check() error {
	if err := checkName(string(id)); err != nil {
		return &Error{Code: Invalid, Op: "id", ID: "", Err: fmt.Errorf("%q: %w", string(id), err)}
	}
	return nil
}

// CheckActionID says whether s may name an action; the rules are those of ID. Code: Invalid.
func CheckActionID(s string) error {
	if err := checkName(s); err != nil {
		return &Error{Code: Invalid, Op: "action id", Err: fmt.Errorf("%.80q: %w", s, err)}
	}
	return nil
}

// CheckSession says whether s may name a session; the rules are those of ID, and "" is the main one. Code: Invalid.
func CheckSession(s string) error {
	if s == "" {
		return nil
	}
	if err := checkName(s); err != nil {
		return &Error{Code: Invalid, Op: "session", Err: fmt.Errorf("%.80q: %w", s, err)}
	}
	return nil
}

func checkName(s string) error {
	if s == "" || len(s) > maxID {
		return fmt.Errorf("want 1 to %d characters, have %d", maxID, len(s))
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '-' || c == '_' || c == '.'):
		default:
			return errors.New("want letters, digits, '-', '_' and '.', beginning with a letter or digit")
		}
	}
	return nil
}

// NewID makes a fresh random id of 16 hexadecimal digits.
func NewID() ID { return ID(RandomHex(8)) }

// NewActionID makes a fresh action id of 24 hexadecimal digits: the time in milliseconds, which comes again after 34 years, and
// 56 random bits. Ids that are made one after another so lie together in an index: with random ones each action would
// dirty a page of the journal's of its own.
func NewActionID() string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], uint64(time.Now().UnixMilli())<<24)
	rand.Read(b[5:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b[:])
}

// RandomHex is n random bytes of the system's secure source in hexadecimal.
func RandomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b)
}
