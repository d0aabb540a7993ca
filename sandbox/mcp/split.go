package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// maxBatch is how many messages may come at once. Many small ones take ten times the memory of their text.
const maxBatch = 1000

// split gives the messages of a batch, or the one that b is if it is none.
func split(b []byte) ([]json.RawMessage, error) {
	if len(b) == 0 || b[0] != '[' {
		return []json.RawMessage{b}, nil
	}
	in := json.NewDecoder(bytes.NewReader(b))
	if _, err := in.Token(); err != nil {
		return nil, err
	}
	var parts []json.RawMessage
	for in.More() {
		var part json.RawMessage
		if err := in.Decode(&part); err != nil {
			return nil, err
		}
		if parts = append(parts, part); len(parts) > maxBatch {
			return nil, fmt.Errorf("a batch of more than %d messages", maxBatch)
		}
	}
	if _, err := in.Token(); err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, errors.New("an empty batch")
	}
	if len(bytes.TrimSpace(b[in.InputOffset():])) > 0 {
		return nil, errors.New("something after a batch")
	}
	return parts, nil
}
