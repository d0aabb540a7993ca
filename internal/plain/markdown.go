package plain

import (
	"fmt"
	"strings"
)

// markdownLength is how much of one text is shown, in characters: an error may be a whole page.
const markdownLength = 300

// Markdown makes a text harmless in a line or a cell of GitHub-flavoured Markdown: on one line, and every character that could
// mean something is a character reference, which reads as the character and as nothing else. GitHub looks for mentions and
// numbers of issues in what comes of that, so those are parted from their sign by a space of no width.
func Markdown(s string) string {
	var b strings.Builder
	for _, r := range Line(s, markdownLength) {
		switch {
		case r == '@' || r == '#':
			fmt.Fprintf(&b, "&#%d;\u200b", r)
		case strings.ContainsRune("\\`*_{}[]<>+!|~&$:", r):
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
