package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sandtree/sandtree/sandbox"
)

// StatusCanceled is the HTTP status of sandbox.Canceled: the client closed the request. It has no name in net/http.
const StatusCanceled = 499

// HTTPStatus is the HTTP status that goes with c; 500 for a code that is not ours.
func HTTPStatus(c sandbox.Code) int {
	switch c {
	case sandbox.Invalid:
		return http.StatusBadRequest
	case sandbox.NotFound:
		return http.StatusNotFound
	case sandbox.Conflict:
		return http.StatusConflict
	case sandbox.Denied:
		return http.StatusForbidden
	case sandbox.Exhausted:
		return http.StatusTooManyRequests
	case sandbox.Unavailable:
		return http.StatusServiceUnavailable
	case sandbox.Lost:
		return http.StatusBadGateway
	case sandbox.Unsupported:
		return http.StatusNotImplemented
	case sandbox.Canceled:
		return StatusCanceled
	}
	return http.StatusInternalServerError
}

// codeOfStatus is the code of an answer whose body does not tell. A gateway that gave up (502, 504) may have reached
// the sandbox, so nothing is known: Lost.
func codeOfStatus(status int) sandbox.Code {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return sandbox.Denied
	case http.StatusNotFound, http.StatusGone:
		return sandbox.NotFound
	case http.StatusConflict:
		return sandbox.Conflict
	case http.StatusTooManyRequests:
		return sandbox.Exhausted
	case http.StatusServiceUnavailable:
		return sandbox.Unavailable
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusGatewayTimeout:
		return sandbox.Lost
	case http.StatusNotImplemented, http.StatusUpgradeRequired, http.StatusHTTPVersionNotSupported:
		return sandbox.Unsupported
	case StatusCanceled:
		return sandbox.Canceled
	}
	if status >= 400 && status < 500 {
		return sandbox.Invalid
	}
	return sandbox.Internal
}

// AppendError appends err as JSON: {"error":{"code":…,"message":…,"details":{…},"timestamp":…}}, the details being "op"
// and "id" where there are any. ParseError gives back an error with the same code and text.
func AppendError(dst []byte, err error) []byte {
	e, ok := err.(*sandbox.Error) // not errors.As: what stands around an inner one would be lost
	if !ok || e == nil {
		e = &sandbox.Error{Code: sandbox.CodeOf(err), Op: "server", Err: err}
		if inner, found := errors.AsType[*sandbox.Error](err); found && inner != nil {
			e.ID = inner.ID
		}
	}
	dst = append(dst, `{"error":{"code":`...)
	dst = appendString(dst, string(e.Code))
	dst = append(dst, `,"message":`...)
	if e.Err != nil {
		dst = appendString(dst, e.Err.Error())
	} else {
		dst = append(dst, `""`...)
	}
	dst = append(dst, `,"details":{`...)
	if e.Op != "" {
		dst = append(dst, `"op":`...)
		dst = appendString(dst, e.Op)
	}
	if e.ID != "" {
		if e.Op != "" {
			dst = append(dst, ',')
		}
		dst = append(dst, `"id":`...)
		dst = appendString(dst, string(e.ID))
	}
	dst = append(dst, `},"timestamp":"`...)
	dst = time.Now().UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z07:00")
	return append(dst, `"}}`...)
}

// maxErrorText is the longest message taken from a body that is not ours, in bytes: enough to recognise a proxy's page.
const maxErrorText = 512

// ParseError reads the body of an answer that failed and gives a *sandbox.Error, never nil. A body in another form (a
// proxy's page, {"detail":"…"}) gets the code that its HTTP status stands for; status 0 means that there was none.
func ParseError(b []byte, status int) error {
	var body struct {
		Error struct {
			Code    sandbox.Code
			Message string
			Details struct {
				Op string
				ID sandbox.ID
			}
		}
		Detail string
	}
	e := &sandbox.Error{Code: codeOfStatus(status), Op: "server"}
	if err := json.Unmarshal(b, &body); err != nil || body.Error.Code == "" {
		text := body.Detail
		if text == "" {
			text = string(bytes.ToValidUTF8(bytes.TrimSpace(b[:min(len(b), maxErrorText)]), []byte("\uFFFD")))
		}
		if text == "" {
			text = http.StatusText(status)
		}
		if text != "" {
			e.Err = errors.New(text)
		}
		return e
	}
	if slices.Contains(sandbox.Codes, body.Error.Code) {
		e.Code = body.Error.Code
	}
	e.Op, e.ID = body.Error.Details.Op, body.Error.Details.ID
	if body.Error.Message != "" {
		e.Err = errors.New(body.Error.Message)
	}
	return e
}
