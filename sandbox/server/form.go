package server

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// The two forms that an action may come in: who asks in one of them is answered in it. What the ledger keeps is in the
// native form, and rewritten for those few that want the other.

var (
	versionText = strconv.Itoa(wire.Version)
	newestText  = []byte(versionText)
	oldestText  = []byte(strconv.Itoa(wire.OldestVersion))
)

// tellVersions says in the head of a native answer which versions there are.
func tellVersions(ctx *fasthttp.RequestCtx) {
	ctx.Response.Header.SetBytesV(wire.HeaderVersion, newestText)
	ctx.Response.Header.SetBytesV(wire.HeaderOldest, oldestText)
}

// version answers what the headers say of every answer, and who speaks.
func (s *Server) version(a asked) {
	answerJSON(a.RequestCtx, fasthttp.StatusOK, wire.VersionInfo{Newest: wire.Version, Oldest: wire.OldestVersion, Server: "sandboxd"})
}

// versionOf reads the version that a native request is in; 0 if it does not say. Code: Unsupported.
func versionOf(ctx *fasthttp.RequestCtx) (int, error) {
	v := ctx.Request.Header.Peek(wire.HeaderVersion)
	if len(v) == 0 {
		return 0, nil
	}
	n, err := strconv.Atoi(string(v))
	if err != nil || n < wire.OldestVersion || n > wire.Version {
		return 0, refused(sandbox.Unsupported, "server", fmt.Sprintf(
			"version %.20q of the native form is not spoken here: oldest %d, newest %d; ask in one of these", v, wire.OldestVersion, wire.Version))
	}
	return n, nil
}

// nativeForm reads an action that this server performs, in the form of the request's version or, if it says none, in the
// one that the body is in. Codes: Invalid, Unsupported.
func nativeForm(version int, body []byte) (a sandbox.Action, native bool, err error) {
	if !utf8.Valid(body) {
		return a, true, refused(sandbox.Invalid, "action", "the body is not UTF-8")
	}
	if native = version >= 2 || version == 0 && wire.IsNative(body); native {
		a, err = wire.ParseNativeAction(body)
	} else {
		a, err = wire.ParseAction(body)
	}
	if err == nil {
		err = unperformable(a)
	}
	return a, native, err
}

// inForm gives a last frame with its observation in the form wanted.
func inForm(frame []byte, native bool) []byte {
	if len(frame) < wire.FrameHeader || frame[0] != wire.FrameDone {
		return frame
	}
	payload := frame[wire.FrameHeader:]
	got := wire.ReformObservation(payload, native)
	if len(got) > 0 && &got[0] == &payload[0] {
		return frame
	}
	offset := binary.BigEndian.Uint64(frame[5:])
	if len(got) > wire.MaxAnswer {
		b := wire.AppendError(nil, tooLarge())
		return append(wire.AppendFrameHeader(nil, wire.FrameError, offset, len(b)), b...)
	}
	return append(wire.AppendFrameHeader(make([]byte, 0, wire.FrameHeader+len(got)), wire.FrameDone, offset, len(got)), got...)
}

// last is the action's last frame in the form that the reader wants, after its spans if the reader wants those. The action must
// be done.
func (r *reader) last() []byte {
	frame := inForm(r.a.frame, r.native)
	if r.traces && len(r.a.traced.spans) > 0 {
		return append(wire.AppendSpans(nil, r.a.traced.spans), frame...)
	}
	return frame
}

func tooLarge() error {
	return refused(sandbox.Exhausted, "observation", fmt.Sprintf("it has more than %d MiB; the action was performed", wire.MaxAnswer>>20))
}
