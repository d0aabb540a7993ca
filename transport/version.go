package transport

import (
	"context"
	"fmt"
	"strconv"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// The version of the native form is agreed on without asking. A client begins with the newest that it knows and every
// answer says which the server speaks: a refusal makes the client go down and ask again, once; an answer that offers more
// makes it go up with its next request. What it has learnt holds for all its requests.

// maxForms is how often one call asks again in another version. Honest servers need one; one that is replaced meanwhile,
// two.
const maxForms = 3

// spoken is the version to ask in now.
func (c *Client) spoken() int { return int(c.version.Load()) }

// learn reads from the head of an answer which versions the server speaks. The failure, if any, is that there is none in
// common, or that r is to be asked again in the version that is spoken now.
func (c *Client) learn(k *conn, r *request) *failure {
	v := k.answer.Header.Peek(wire.HeaderVersion)
	if len(v) == 0 || r.version == wire.Version && string(v) == newestText {
		return nil
	}
	newest, err := strconv.Atoi(string(v))
	if err != nil {
		return nil
	}
	oldest := 1
	if n, err := strconv.Atoi(string(k.answer.Header.Peek(wire.HeaderOldest))); err == nil {
		oldest = n
	}
	now := min(newest, wire.Version)
	if newest < wire.OldestVersion || oldest > wire.Version {
		return &failure{code: sandbox.Unsupported, final: true, answered: true, err: fmt.Errorf(
			"the server speaks versions %d to %d of the native form, this client %d to %d: bring one of them up to date",
			oldest, newest, wire.OldestVersion, wire.Version)}
	}
	refused := k.answer.StatusCode() == wire.HTTPStatus(sandbox.Unsupported) && (r.version > newest || r.version < oldest)
	if now != r.version && (refused || now > r.version) {
		c.version.Store(int32(now))
	}
	if refused {
		return &failure{code: sandbox.Unsupported, answered: true, again: true, err: fmt.Errorf(
			"the server does not speak version %d of the native form, only %d to %d", r.version, oldest, newest)}
	}
	return nil
}

var newestText = strconv.Itoa(wire.Version)

// tooOld is the failure of a request for what the version spoken does not have; nil if it has it.
func (r *request) tooOld() *failure {
	if r.since <= r.version {
		return nil
	}
	return &failure{code: sandbox.Unsupported, final: true, err: fmt.Errorf(
		"the server speaks version %d of the native form, and this came with version %d: use a newer sandboxd", r.version, r.since)}
}

// openEither is open, in whichever version the server speaks, for requests that are not tried again.
func (c *Client) openEither(ctx context.Context, r *request) (k *conn, f *failure) {
	for range maxForms {
		if k, f = c.open(ctx, r); f == nil || !f.again {
			break
		}
	}
	return k, f
}

// actionBody writes an action in the form of a version.
func actionBody(a sandbox.Action, version int) []byte {
	dst := make([]byte, 0, 512)
	if version == 1 {
		return wire.AppendAction(dst, a)
	}
	return wire.AppendNativeAction(dst, a)
}

// observation reads an observation that came in the answer to a request of a version. Those of version 2 may be kept from
// earlier, in the form of that time.
func observation(b []byte, version int) (sandbox.Observation, error) {
	if version >= 2 && wire.IsNative(b) {
		return wire.ParseNativeObservation(b)
	}
	return wire.ParseObservation(b)
}
