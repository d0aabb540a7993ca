package wire

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sandtree/sandtree/sandbox"
)

// ReadTrajectory reads the events of a recorded run: a JSON array of them, as OpenHands saves and exports it; one event
// per line; or an object that holds the array as history, trajectory or events, as its evaluations and its web API give
// it. Histories of pairs, [action, observation], are flattened. What is none of these is Invalid, and the error says
// after how many events; a failure of r has the code that it brings.
func ReadTrajectory(r io.Reader) ([]Event, error) {
	t := trajectory{dec: json.NewDecoder(bufio.NewReader(r))}
	if err := t.read(); err != nil {
		code := sandbox.Invalid
		if t.failed {
			code = sandbox.CodeOf(err)
		}
		return nil, &sandbox.Error{Code: code, Op: "wire.ReadTrajectory", Err: fmt.Errorf("after %d events: %w", len(t.events), err)}
	}
	return t.events, nil
}

type trajectory struct {
	dec    *json.Decoder
	events []Event
	failed bool // the reader, rather than what it read
}

func (t *trajectory) read() error {
	for {
		var raw json.RawMessage
		if err := t.dec.Decode(&raw); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			_, syntax := errors.AsType[*json.SyntaxError](err)
			t.failed = !syntax && !errors.Is(err, io.ErrUnexpectedEOF)
			return err
		}
		whole, err := t.add(raw)
		if err != nil {
			return err
		}
		if whole && t.dec.More() {
			return errors.New("something follows the trajectory")
		}
	}
}

// add takes one JSON value and says whether it was a whole trajectory.
func (t *trajectory) add(raw []byte) (whole bool, err error) {
	if raw, err = check(raw); err != nil {
		return false, err
	}
	if raw[0] == '[' {
		return true, t.array(raw, 0)
	}
	m := object(raw, "an event")
	var inner []byte
	for m.next() {
		switch string(m.key) {
		case "action", "observation":
			return false, t.event(raw)
		case "history", "trajectory", "events":
			if m.value[0] == '[' {
				inner = m.value
			}
		}
	}
	if inner == nil {
		return false, t.event(raw) // which says what is wrong with it
	}
	return true, t.array(inner, 0)
}

func (t *trajectory) array(raw []byte, depth int) error {
	return elements(raw, func(value []byte) error {
		if value[0] == '[' && depth == 0 {
			return t.array(value, depth+1)
		}
		return t.event(value)
	})
}

func (t *trajectory) event(raw []byte) error {
	e, err := parseEvent(raw)
	if err != nil {
		return err
	}
	t.events = append(t.events, e)
	return nil
}

// WriteTrajectory writes events as a JSON array, one event per line. The error is w's.
func WriteTrajectory(w io.Writer, events []Event) error {
	var buf bytes.Buffer
	buf.WriteByte('[')
	for i, e := range events {
		if i > 0 {
			buf.WriteByte(',')
		}
		buf.WriteByte('\n')
		buf.Write(e.Append(buf.AvailableBuffer()))
		if buf.Len() > frameBuffer {
			if _, err := buf.WriteTo(w); err != nil {
				return err
			}
		}
	}
	buf.WriteString("\n]\n")
	_, err := buf.WriteTo(w)
	return err
}
