package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sandtree/sandtree/sandbox"
)

// HeaderTrace is W3C Trace Context's: who sends it with an action is answered, besides, with what the server spent its time
// on, in a frame of type FrameSpans.
const HeaderTrace = "traceparent"

// HeaderSpans is that of an answer in the OpenHands form, whose body has no room for spans: they stand here as they do in a frame.
const HeaderSpans = "Sandtree-Spans"

// Span is a time that the server spent on an action, as in OpenTelemetry.
type Span struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"`     // 16 hexadecimal digits
	Parent     string            `json:"parent"` // of the span that the traceparent named, or of another here
	Begun      int64             `json:"begun"`  // nanoseconds since 1970 by the server's clock
	Ended      int64             `json:"ended"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Error      string            `json:"error,omitempty"` // the code of what failed
}

// What a frame of spans may have: twice what a server sends, and more.
const (
	maxSpans      = 8
	maxAttributes = 8
	maxSpanText   = 256     // bytes of a name or value
	maxSpanFrame  = 8 << 10 // bytes of all
	maxSpanHeader = 4 << 10 // bytes of all in a header: half of what clients take of one (8 KiB, as aiohttp)
)

// What spans are called and what they say. Others, as of a newer server, are left out: whoever counts spans by their names
// must not be made to count what a sandbox thinks of.
var (
	spanNames      = []string{"sandboxd.action", "sandboxd.wait", "process"}
	spanAttributes = []string{"kind", "session", "outcome", "exit_code"}
)

// AppendSpans appends a frame of spans.
func AppendSpans(dst []byte, spans []Span) []byte {
	b, err := json.Marshal(spans)
	if err != nil { // there is nothing in them that could not be written
		return dst
	}
	return AppendFrame(dst, Frame{Type: FrameSpans, Payload: b})
}

// SpansHeader is the value of a HeaderSpans; "" if there are no spans, or they make none that every client takes.
func SpansHeader(spans []Span) string {
	if len(spans) == 0 {
		return ""
	}
	b, err := json.Marshal(spans)
	if err != nil || len(b) > maxSpanHeader || bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return string(b)
}

// ParseSpans reads the payload of a FrameSpans, or the value of a HeaderSpans. Code: Invalid, also of more or longer ones than a server sends.
func ParseSpans(p []byte) ([]Span, error) {
	if len(p) > maxSpanFrame { // before anything is made of it
		return nil, invalid("wire.ParseSpans", fmt.Errorf("%d bytes of spans, over %d", len(p), maxSpanFrame))
	}
	var spans []Span
	if err := json.Unmarshal(p, &spans); err != nil {
		return nil, invalid("wire.ParseSpans", err)
	}
	if len(spans) > maxSpans {
		return nil, invalid("wire.ParseSpans", fmt.Errorf("%d spans, over %d", len(spans), maxSpans))
	}
	for i := range spans {
		if err := spans[i].check(); err != nil {
			return nil, invalid("wire.ParseSpans", err)
		}
	}
	return slices.DeleteFunc(spans, func(s Span) bool { return !slices.Contains(spanNames, s.Name) }), nil
}

func (s *Span) check() error {
	const year = int64(365 * 24 * time.Hour)
	switch {
	case len(s.Attributes) > maxAttributes:
		return errors.New("a span with too many attributes")
	case s.Begun < 0 || s.Ended < s.Begun || s.Ended-s.Begun > 100*year:
		return errors.New("a span that ends before it begins")
	case s.Error != "" && !slices.Contains(sandbox.Codes, sandbox.Code(s.Error)):
		return errors.New("a span that failed of something that is no code")
	case s.Name == "" || len(s.ID) != 16 || len(s.Parent) != 16:
		return errors.New("a span without a name")
	}
	texts := []string{s.Name, s.ID, s.Parent}
	for k, v := range s.Attributes {
		texts = append(texts, k, v)
	}
	for _, t := range texts {
		if len(t) > maxSpanText || strings.ContainsFunc(t, unicode.IsControl) {
			return errors.New("a span with a text that is none")
		}
	}
	maps.DeleteFunc(s.Attributes, func(k, _ string) bool { return !slices.Contains(spanAttributes, k) })
	return nil
}
