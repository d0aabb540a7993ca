package mcp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// stdio is the connection with a program: a message a line. What a program prints to its standard output that is no
// message, as launchers do, is passed over and kept with what it says; the SDK's own connection would end at it.
type stdio struct {
	p    *program
	in   chan incoming // from the goroutine that reads
	rest []jsonrpc.Message
	eof  chan struct{} // closed when the program's output has ended
	gone chan struct{} // closed by Close
	once sync.Once
	turn chan struct{} // has room for one: held by who writes
}

type incoming struct {
	messages []jsonrpc.Message
	err      error
}

// Connect implements sdk.Transport.
func (p *program) Connect(context.Context) (sdk.Connection, error) {
	c := &stdio{p: p, in: make(chan incoming), eof: make(chan struct{}), gone: make(chan struct{}), turn: make(chan struct{}, 1)}
	p.conn = c
	p.readers.Go(c.pump)  // ends when the program's output has been closed, which end does
	p.readers.Go(c.watch) // ends with the program or with Close
	return c, nil
}

// watch ends a connection whose program has ended while others hold its output open.
func (c *stdio) watch() {
	select {
	case <-c.p.child.Done():
		within(lastWords, c.eof)
		c.Close()
	case <-c.gone:
	}
}

// ended says whether the program has ended the connection.
func (c *stdio) ended() bool { return within(0, c.eof) }

// pump hands on what the program sends. That its output has ended is known before anybody can be told of it.
func (c *stdio) pump() {
	err := c.pass()
	close(c.eof)
	select {
	case c.in <- incoming{err: err}:
	case <-c.gone:
	}
}

// pass hands on messages until there are no more, and returns why.
func (c *stdio) pass() error {
	r := bufio.NewReader(c.p.stdout)
	for {
		line, err := readLine(r, maxMessage)
		if err != nil {
			return err
		}
		messages := decode(line)
		if messages == nil {
			if len(bytes.TrimSpace(line)) > 0 {
				_, _ = c.p.errors.Write(append(line[:min(len(line), 200)], '\n'))
			}
			continue
		}
		select {
		case c.in <- incoming{messages: messages}:
		case <-c.gone:
			return io.EOF
		}
	}
}

var errLongLine = fmt.Errorf("it sent a message of more than %d MiB", maxMessage>>20)

// readLine reads a line, without its end. A last one that has no end is a line too.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, errLongLine
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return line, nil
		default:
			return nil, err
		}
	}
}

// decode gives the message of a line, or the messages of a batch; nil if it is neither.
func decode(line []byte) []jsonrpc.Message {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '{' && line[0] != '[' {
		return nil
	}
	parts, err := split(line)
	if err != nil {
		return nil
	}
	var messages []jsonrpc.Message
	for _, part := range parts {
		m, err := jsonrpc.DecodeMessage(part)
		if err != nil {
			return nil
		}
		messages = append(messages, m)
	}
	return messages
}

// SessionID implements sdk.Connection.
func (c *stdio) SessionID() string { return "" }

// Read implements sdk.Connection.
func (c *stdio) Read(ctx context.Context) (jsonrpc.Message, error) {
	for len(c.rest) == 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.gone:
			return nil, io.EOF
		case in := <-c.in:
			if in.err != nil {
				return nil, in.err
			}
			c.rest = in.messages
		}
	}
	m := c.rest[0]
	c.rest = c.rest[1:]
	return m, nil
}

// takeTime is how long a program may take to read what it is sent before it counts as stuck and its connection ends.
const takeTime = 30 * time.Second

// Write implements sdk.Connection. ctx bounds the waiting for other writers only: half a message would spoil the rest.
func (c *stdio) Write(ctx context.Context, m jsonrpc.Message) error {
	b, err := jsonrpc.EncodeMessage(m)
	if err != nil {
		return err
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.gone:
		return io.ErrClosedPipe
	}
	defer func() { <-c.turn }()
	_ = c.p.stdin.SetWriteDeadline(time.Now().Add(takeTime))
	_, err = c.p.stdin.Write(append(b, '\n'))
	return err
}

// Close implements sdk.Connection. The program is ended by whoever has started it.
func (c *stdio) Close() error {
	c.once.Do(func() {
		close(c.gone)
		c.p.stdin.Close()
	})
	return nil
}
