package wire

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

func someSpan() Span {
	return Span{Name: "process", ID: "00f067aa0ba902b7", Parent: "00f067aa0ba902b8", Begun: 1, Ended: 2,
		Attributes: map[string]string{"kind": "run"}, Error: "lost"}
}

func TestSpansGoThereAndBack(t *testing.T) {
	r := NewFrameReader(bytes.NewReader(AppendSpans(nil, []Span{someSpan()})))
	f, err := r.Next()
	if err != nil || f.Type != FrameSpans {
		t.Fatalf("%+v, %v", f, err)
	}
	got, err := ParseSpans(f.Payload)
	if err != nil || len(got) != 1 || got[0].Name != "process" || got[0].Ended != 2 || !maps.Equal(got[0].Attributes, someSpan().Attributes) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSpansOfStrangersAreBounded(t *testing.T) {
	many := make([]Span, maxSpans+1)
	for i := range many {
		many[i] = someSpan()
	}
	said := map[string]string{}
	for i := range maxAttributes + 1 {
		said[strings.Repeat("k", i+1)] = ""
	}
	for name, spans := range map[string][]Span{
		"too many":         many,
		"backwards":        {{Name: "a", ID: "00f067aa0ba902b7", Parent: "00f067aa0ba902b8", Begun: 2, Ended: 1}},
		"before 1970":      {{Name: "a", ID: "00f067aa0ba902b7", Parent: "00f067aa0ba902b8", Begun: -2, Ended: 1}},
		"no name":          {{ID: "00f067aa0ba902b7", Parent: "00f067aa0ba902b8"}},
		"no id":            {{Name: "a", Parent: "00f067aa0ba902b8"}},
		"a long name":      {{Name: strings.Repeat("a", maxSpanText+1), ID: "00f067aa0ba902b7", Parent: "00f067aa0ba902b8"}},
		"no code":          {{Name: "process", ID: "00f067aa0ba902b7", Parent: "00f067aa0ba902b8", Error: "my mood"}},
		"control":          {{Name: "a\nb", ID: "00f067aa0ba902b7", Parent: "00f067aa0ba902b8"}},
		"a long value":     {{Name: "a", ID: "00f067aa0ba902b7", Parent: "00f067aa0ba902b8", Attributes: map[string]string{"k": strings.Repeat("a", maxSpanText+1)}}},
		"much said of one": {{Name: "a", ID: "00f067aa0ba902b7", Parent: "00f067aa0ba902b8", Attributes: said}},
	} {
		if _, err := ParseSpans(AppendSpans(nil, spans)[FrameHeader:]); sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A frame is looked at before anything is made of it, and names and keys are those that a server has.
func TestSpansSayNothingNew(t *testing.T) {
	large := append([]byte("["), bytes.Repeat([]byte("{},"), maxSpanFrame/3)...)
	if _, err := ParseSpans(append(large, "{}]"...)); sandbox.CodeOf(err) != sandbox.Invalid || !strings.Contains(err.Error(), "bytes") {
		t.Error(err)
	}
	other, odd := someSpan(), someSpan()
	other.Name, odd.Attributes = "mine", map[string]string{"kind": "run", "mine": "x"}
	got, err := ParseSpans(AppendSpans(nil, []Span{other, odd})[FrameHeader:])
	if err != nil || len(got) != 1 || got[0].Name != "process" || !maps.Equal(got[0].Attributes, map[string]string{"kind": "run"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzParseSpans(f *testing.F) {
	f.Add(AppendSpans(nil, []Span{someSpan()})[FrameHeader:])
	f.Add([]byte(`[{}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		spans, err := ParseSpans(b)
		if err != nil && sandbox.CodeOf(err) != sandbox.Invalid {
			t.Errorf("code %q", sandbox.CodeOf(err))
		}
		if len(spans) > maxSpans {
			t.Errorf("%d spans", len(spans))
		}
	})
}

// What goes into a header is bounded, and what any client takes.
func TestSpansGoIntoAHeader(t *testing.T) {
	got, err := ParseSpans([]byte(SpansHeader([]Span{someSpan()})))
	if err != nil || len(got) != 1 || got[0].Name != "process" || !maps.Equal(got[0].Attributes, someSpan().Attributes) {
		t.Errorf("%+v, %v", got, err)
	}
	long, odd := someSpan(), someSpan()
	long.Attributes = map[string]string{"session": strings.Repeat("a", maxSpanHeader)}
	odd.Attributes = map[string]string{"session": "ü"}
	for name, spans := range map[string][]Span{"none": nil, "too long": {long}, "not ASCII": {odd}} {
		if h := SpansHeader(spans); h != "" {
			t.Errorf("%s: %.100s", name, h)
		}
	}
}
