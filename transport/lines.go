package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// Grep searches files and hands on what it finds as it is found; an error of found ends the search, and is in the chain
// of the one returned. Codes: Invalid (the pattern), NotFound, Canceled (by found), and those of any request.
func (c *Client) Grep(ctx context.Context, g wire.Grep, found func(wire.GrepMatch) error) (end wire.GrepEnd, err error) {
	body, err := json.Marshal(g)
	if err != nil {
		return end, c.error("Grep", &failure{code: sandbox.Invalid, err: err})
	}
	r := &request{method: "POST", target: wire.PathGrep, body: body, quiet: fileStall, since: native}
	err = c.lines(ctx, "Grep", r, func(line []byte) (bool, error) {
		var either struct {
			wire.GrepMatch
			wire.GrepEnd
		}
		if err := json.Unmarshal(line, &either); err != nil {
			return false, malformed{err}
		}
		if either.Done {
			end = either.GrepEnd
			return true, nil
		}
		return false, found(either.GrepMatch)
	})
	if err == nil && end.Error != nil {
		err = c.inLine("Grep", end.Error)
	}
	return end, err
}

// Watch hands on what changes below path, beginning with the event "ready", until ctx ends or happened returns an error,
// which is in the chain of the one returned. A watch that is cut off ends with Lost: what changed meanwhile nobody has
// seen. Codes: NotFound, Unsupported, Exhausted, Canceled, and those of any request.
func (c *Client) Watch(ctx context.Context, path string, recursive bool, happened func(wire.WatchEvent) error) error {
	target, err := c.at("Watch", wire.PathWatch, path)
	if err != nil {
		return err
	}
	if !recursive {
		target += "&recursive=false"
	}
	var last *wire.ErrorBody
	r := &request{method: "GET", target: target, quiet: c.config.Stall, since: native, control: true}
	err = c.lines(ctx, "Watch", r, func(line []byte) (bool, error) {
		var e wire.WatchEvent
		if err := json.Unmarshal(line, &e); err != nil {
			return false, malformed{err}
		}
		switch e.Type {
		case "heartbeat":
			return false, nil
		case "error":
			last = e.Error
			return true, nil
		}
		return false, happened(e)
	})
	if err == nil && last != nil {
		err = c.inLine("Watch", last)
	}
	return err
}

// malformed is a line that is not what it should be; anything else that take returns is the caller's.
type malformed struct{ error }

// maxLine is the longest line that a server may send, in bytes: a path and 4 KiB of text, escaped.
const maxLine = 256 << 10

// lines asks r and hands each line of the answer to take, until it says that this was the last. It asks again as long as
// no line has come.
func (c *Client) lines(ctx context.Context, op string, r *request, take func(line []byte) (last bool, err error)) error {
	var t tries
	for {
		n, f := c.readLines(ctx, r, take)
		if f == nil {
			return nil
		}
		f.final = f.final || n > 0
		if f = c.pause(ctx, &t, f); f != nil {
			return c.error(op, r.verdict(f))
		}
	}
}

func (c *Client) readLines(ctx context.Context, r *request, take func([]byte) (bool, error)) (n int, f *failure) {
	k, f := c.open(ctx, r)
	if f != nil {
		return 0, f
	}
	over := false
	defer func() { c.release(k, r, over) }() // deferred: take may panic
	in := bufio.NewScanner((*body)(k))
	in.Buffer(make([]byte, 0, 4<<10), maxLine)
	for in.Scan() {
		line := bytes.TrimSpace(in.Bytes())
		if len(line) == 0 {
			continue
		}
		n++
		last, err := take(line)
		if bad, ok := errors.AsType[malformed](err); ok {
			return n, &failure{code: sandbox.Lost, err: fmt.Errorf("malformed answer: %w", bad.error), final: true}
		}
		if err != nil {
			return n, &failure{code: sandbox.Canceled, err: err, final: true}
		}
		if last {
			_, err := io.Copy(io.Discard, io.LimitReader((*body)(k), maxLine))
			over = err == nil
			return n, nil
		}
	}
	err := in.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
		k.broken = errors.New("the answer ended early")
	}
	return n, c.cut(ctx, k, "read the answer", err)
}

// inLine is the error that a server put into its answer after that had begun.
func (c *Client) inLine(op string, b *wire.ErrorBody) error {
	e, _ := json.Marshal(struct {
		Error *wire.ErrorBody `json:"error"`
	}{b})
	return c.error(op, said(wire.ParseError(e, 0), true))
}
