package shell

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Bounds of what is parsed. The parser is recursive, and the stack of a goroutine is not endless: 64 KiB of the worst
// nesting that was found, with this many bytes that can nest, takes some 30 MB of it for a moment. What lies beyond is
// taken for one command, as what cannot be parsed is.
const (
	maxParsed = 64 << 10
	maxNested = 8 << 10
	nesting   = "([{`!~?:-+*&|<"
)

// inspect looks at a command text. parts are its commands if there is more than one, one after the other in lines of
// their own, cut as OpenHands cuts them: each from its beginning to that of the next, so that comments go to the command
// before. It is nil for a single command, and for a text that OpenHands cannot parse, which runs as it is. unended
// says that a here-document of the text lacks its end.
func inspect(text string) (parts []string, unended bool) {
	newline, here := strings.IndexByte(text, '\n') >= 0, strings.Contains(text, "<<")
	if !newline && !here || len(text) > maxParsed || nested(text) > maxNested {
		return nil, false
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		e, ok := err.(syntax.ParseError)
		return nil, ok && strings.HasPrefix(e.Text, "unclosed here-document")
	}
	if !newline {
		return nil, false
	}
	starts := lineStarts(text, file.Stmts)
	if len(starts) < 2 || beyond(file) {
		return nil, false
	}
	starts = append(starts, len(text))
	for i, end := range starts[1:] {
		parts = append(parts, strings.TrimRight(text[starts[i]:end], " \t\n\r"))
	}
	return parts, false
}

func nested(text string) (n int) {
	for i := range len(text) {
		if strings.IndexByte(nesting, text[i]) >= 0 {
			n++
		}
	}
	return n
}

// lineStarts is where the text's pieces begin: at each statement that begins a line of its own, and at a comment that
// stands before the first.
func lineStarts(text string, stmts []*syntax.Stmt) (starts []int) {
	if len(stmts) == 0 {
		return nil
	}
	first := int(stmts[0].Pos().Offset())
	if before := text[:first]; strings.TrimSpace(before) != "" {
		starts = append(starts, 0)
	}
	starts = append(starts, first)
	for i, s := range stmts[1:] {
		from, to := int(stmts[i].End().Offset()), int(s.Pos().Offset())
		// A statement on the line of the one before ends before that one's here-document does.
		if from < to && strings.Contains(strings.ReplaceAll(text[from:to], "\\\n", ""), "\n") {
			starts = append(starts, to)
		}
	}
	return starts
}

// beyond says whether file has something that the parser of OpenHands (bashlex) does not know.
func beyond(file *syntax.File) (found bool) {
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.TestClause, *syntax.ArithmCmd, *syntax.ArithmExp, *syntax.CaseClause, *syntax.TimeClause,
			*syntax.CoprocClause, *syntax.ArrayExpr, *syntax.ExtGlob, *syntax.CStyleLoop:
			found = true
		case *syntax.ForClause:
			found = found || n.Select
		case *syntax.Redirect:
			if n.Hdoc != nil && quoted(n.Word) {
				found = true
			}
		}
		return !found
	})
	return found
}

// quoted says whether the word that ends a here-document is quoted in any way.
func quoted(w *syntax.Word) bool {
	for _, p := range w.Parts {
		l, ok := p.(*syntax.Lit)
		if !ok || strings.IndexByte(l.Value, '\\') >= 0 {
			return true
		}
	}
	return false
}
