package kernel

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"strconv"
	"time"
)

// A message is one of the Jupyter messaging protocol, version 5.3, that a kernel has sent.
type message struct {
	Type    string
	Parent  string          // id of the request that it belongs to; "" none
	Content json.RawMessage // nil if it was too long
	Left    uint64          // bytes of it that were too long to be kept
}

var (
	delimiter = []byte("<IDS|MSG>")

	errMessage   = errors.New("not a message of Jupyter's")
	errSignature = errors.New("a message with a wrong signature")
)

// A signer signs messages and tells what was signed with its key. It belongs to one goroutine.
type signer struct{ mac hash.Hash }

func newSigner(key string) signer { return signer{hmac.New(sha256.New, []byte(key))} }

func (s signer) sign(frames [][]byte) []byte {
	s.mac.Reset()
	for _, f := range frames {
		s.mac.Write(f)
	}
	var sum [sha256.Size]byte
	return hex.AppendEncode(nil, s.mac.Sum(sum[:0]))
}

// A header of a message. The members stand in the order of the protocol's document.
type header struct {
	ID       string `json:"msg_id"`
	Session  string `json:"session"`
	Username string `json:"username"`
	Date     string `json:"date"`
	Type     string `json:"msg_type"`
	Version  string `json:"version"`
}

// request makes the frames of a message to a kernel.
func (s signer) request(id, session, typ string, content any) ([][]byte, error) {
	h, err := json.Marshal(header{id, session, "sandtree", time.Now().UTC().Format(time.RFC3339Nano), typ, "5.3"})
	if err != nil {
		return nil, err
	}
	c, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	signed := [][]byte{h, []byte("{}"), []byte("{}"), c}
	return append([][]byte{delimiter, s.sign(signed)}, signed...), nil
}

// read makes a message of the frames that were received, left bytes of which are missing. A message of which a part is
// missing cannot be verified; all that is made of it is the note that it came.
func (s signer) read(frames [][]byte, left uint64) (m message, err error) {
	at := -1
	for i, f := range frames {
		if bytes.Equal(f, delimiter) {
			at = i
			break
		}
	}
	if at < 0 || len(frames) < at+6 {
		return m, errMessage
	}
	signed := frames[at+2 : at+6]
	whole := signed[0] != nil && signed[1] != nil && signed[2] != nil && signed[3] != nil
	if whole && !hmac.Equal(s.sign(signed), frames[at+1]) {
		return m, errSignature
	}
	var own, parent struct {
		ID   string `json:"msg_id"`
		Type string `json:"msg_type"`
	}
	if err := json.Unmarshal(signed[0], &own); err != nil {
		return m, errMessage
	}
	if err := json.Unmarshal(signed[1], &parent); err != nil {
		return m, errMessage
	}
	return message{Type: own.Type, Parent: parent.ID, Content: signed[3], Left: left}, nil
}

// executeRequest asks for one cell to be performed.
type executeRequest struct {
	Code         string            `json:"code"`
	Silent       bool              `json:"silent"`
	StoreHistory bool              `json:"store_history"`
	Expressions  map[string]string `json:"user_expressions"`
	AllowStdin   bool              `json:"allow_stdin"`
	StopOnError  bool              `json:"stop_on_error"`
}

// numbered makes the ids of requests.
func numbered(session string, n uint64) string { return session + "_" + strconv.FormatUint(n, 10) }
