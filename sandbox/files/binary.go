package files

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"
)

const sampleBytes = 1024 // of a file's begin tell what it is

// binaryFile says whether the file seems to be binary; one that cannot be read seems not.
func binaryFile(name string) bool {
	if strings.HasSuffix(name, ".pyc") {
		return true
	}
	f, _, err := openRegular(name)
	if err != nil {
		return false
	}
	defer f.Close()
	sample := make([]byte, sampleBytes)
	n, err := io.ReadFull(f, sample)
	if err != nil && err != io.ErrUnexpectedEOF {
		return false
	}
	return looksBinary(sample[:n])
}

// looksBinary says whether a file that begins with sample seems to be binary: unless it is marked as UTF-16 or is UTF-8, a NUL,
// a 0xFF or more than three control bytes in ten make it so. A NUL does in UTF-8 too.
func looksBinary(sample []byte) bool {
	if _, ok := utf16Order(sample); ok {
		for i := 0; i+1 < len(sample); i += 2 {
			if sample[i] == 0 && sample[i+1] == 0 {
				return true
			}
		}
		return false
	}
	if bytes.IndexByte(sample, 0) >= 0 {
		return true
	}
	if utf8.Valid(wholeRunes(sample)) {
		return false
	}
	control := 0
	for _, c := range sample {
		if c < 0x20 && !strings.ContainsRune("\n\r\t\f\b", rune(c)) {
			control++
		}
	}
	return bytes.IndexByte(sample, 0xff) >= 0 || 10*control > 3*len(sample)
}

// wholeRunes is b without a last rune that the end of the sample has cut.
func wholeRunes(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}
