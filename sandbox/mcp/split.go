package mcp

import (
	"encoding/json"
	"errors"
)

// split gives the messages of a batch, or the one that b is if it is none.
func split(b []byte) ([]json.RawMessage, error) {
	if len(b) == 0 || b[0] != '[' {
		return []json.RawMessage{b}, nil
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, errors.New("an empty batch")
	}
	return parts, nil
}
