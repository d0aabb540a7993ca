package browser

import (
	"encoding/base64"
	"strings"
)

// maxText bounds the text of a page, in characters, and of a tree, in bytes.
const maxText = 1 << 20

// contentOfPage is what an agent reads after browse.
func contentOfPage(x extras, text string) string {
	var b strings.Builder
	b.WriteString("[Current URL: " + x.URL + "]\n")
	if x.Error {
		writeError(&b, "trying to visit the URL", x.ActionErr)
	}
	b.WriteString("============== BEGIN webpage content ==============\n" + text +
		"\n============== END webpage content ==============\n")
	return b.String()
}

// contentOfTree is what an agent reads after browse_interactive.
func contentOfTree(x extras, tree string) string {
	var b strings.Builder
	b.WriteString("[Current URL: " + x.URL + "]\n[Focused element bid: " + x.Focused + "]\n")
	if x.Path != nil {
		b.WriteString("[Screenshot saved to: " + *x.Path + "]\n")
	}
	b.WriteString("\n")
	if x.Error {
		writeError(&b, "executing the last action", x.ActionErr)
	} else {
		b.WriteString("[Action executed successfully.]\n")
	}
	b.WriteString("Accessibility tree of the COMPLETE webpage:\n" +
		"Note: [bid] is the unique alpha-numeric identifier at the beginning of lines for each element in the AXTree. Always use " +
		"bid to refer to elements in your actions.\n" +
		"============== BEGIN accessibility tree ==============\n" + tree +
		"\n============== END accessibility tree ==============\n")
	return b.String()
}

func writeError(b *strings.Builder, when, text string) {
	b.WriteString("================ BEGIN error message ===============\nThe following error occurred when " + when + ":\n" + text +
		"\n================ END error message ===============\n")
}

// cut shortens what is too long.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "\n[... the rest of the tree is left out: it is too long ...]"
}

func dataURI(png []byte) string {
	if len(png) == 0 {
		return ""
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(png)
}
