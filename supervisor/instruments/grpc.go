package instruments

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// OTLP over gRPC is one method, called with one message and answered by one. That is a POST over HTTP/2 and a few headers
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), which the standard library sends: gRPC itself would be
// megabytes (ADR 32).

const (
	grpcMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
	grpcPrefix = 5 // bytes before a message: whether it is compressed (1), its length (4, big-endian)
)

// grpcCodes are the names of gRPC's codes, by number.
var grpcCodes = []string{"ok", "cancelled", "unknown", "invalid argument", "deadline exceeded", "not found", "already exists", "permission denied",
	"resource exhausted", "failed precondition", "aborted", "out of range", "unimplemented", "internal", "unavailable", "data loss", "unauthenticated"}

// The codes of gRPC that say something to whoever exports (https://opentelemetry.io/docs/specs/otlp/#failures).
const (
	grpcOK        = 0
	grpcCancelled = 1
	grpcDeadline  = 4
	grpcExhausted = 8
	grpcAborted   = 10
	grpcRange     = 11
	grpcUnknown   = 2
	grpcAway      = 14
	grpcLoss      = 15
)

// call sends a request once by gRPC; again says that it may be sent again, after wait.
func (e *exporter) call(ctx context.Context, message []byte) (wait time.Duration, again bool, err error) {
	framed := make([]byte, grpcPrefix, grpcPrefix+len(message))
	binary.BigEndian.PutUint32(framed[1:], uint32(len(message)))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(append(framed, message...)))
	if err != nil {
		return 0, false, err
	}
	e.head(r, "application/grpc")
	r.Header.Set("TE", "trailers")
	r.Header.Set("Grpc-Timeout", strconv.FormatInt(exportTime.Milliseconds(), 10)+"m")
	resp, err := e.client.Do(r)
	if err != nil {
		return 0, true, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // trailers come after it
	if err != nil {
		return 0, true, err
	}
	trailer := resp.Trailer
	if resp.Header.Get("Grpc-Status") != "" { // of an answer without a message
		trailer = resp.Header
	}
	if resp.StatusCode != http.StatusOK && trailer.Get("Grpc-Status") == "" { // of something that is no server of gRPC, as a proxy
		return 0, passing(resp.StatusCode), fmt.Errorf("the endpoint answers %s", resp.Status)
	}
	code, err := strconv.Atoi(trailer.Get("Grpc-Status"))
	if err != nil || code < 0 {
		return 0, false, errors.New("the endpoint does not answer by gRPC: see whether it is that of OTLP over gRPC, as http://localhost:4317")
	}
	if code != grpcOK {
		wait, told := retryDelay(trailer.Get("Grpc-Status-Details-Bin"))
		return wait, mayPass(code, told), grpcFailed(code, trailer.Get("Grpc-Message"))
	}
	if len(answer) < grpcPrefix || answer[0] != 0 {
		return 0, false, errors.New("the endpoint's answer has no message")
	}
	return 0, false, refusedSpans(answer[grpcPrefix:])
}

// mayPass says whether a code is of something that passes; told is whether the endpoint has said when.
func mayPass(code int, told bool) bool {
	switch code {
	case grpcCancelled, grpcDeadline, grpcAborted, grpcRange, grpcAway, grpcLoss:
		return true
	case grpcExhausted: // else it is not the moment that lacks room
		return told
	}
	return false
}

func grpcFailed(code int, message string) error {
	name := grpcCodes[grpcUnknown]
	if code < len(grpcCodes) {
		name = grpcCodes[code]
	}
	if plain, err := url.PathUnescape(message); err == nil {
		message = plain
	}
	return fmt.Errorf("the endpoint answers %s (gRPC %d): %.200q", name, code, message)
}

// retryDelay is when the endpoint wants to be asked again, of the details of a failure: a google.rpc.Status, of whose details one may be a
// google.rpc.RetryInfo.
func retryDelay(details string) (wait time.Duration, told bool) {
	b, err := base64.RawStdEncoding.DecodeString(string(bytes.TrimRight([]byte(details), "=")))
	if err != nil {
		return 0, false
	}
	fields(b, func(n protowire.Number, _ uint64, detail []byte) {
		var kind string
		var value []byte
		if n != 3 {
			return
		}
		fields(detail, func(n protowire.Number, _ uint64, b []byte) {
			switch n {
			case 1:
				kind = string(b)
			case 2:
				value = b
			}
		})
		if kind != "type.googleapis.com/google.rpc.RetryInfo" {
			return
		}
		told = true
		fields(value, func(n protowire.Number, _ uint64, duration []byte) {
			fields(duration, func(n protowire.Number, v uint64, _ []byte) {
				v = min(v, uint64(time.Hour)) // no more is waited for anyway, and less overflows
				switch n {
				case 1:
					wait += time.Duration(min(v, uint64(time.Hour/time.Second))) * time.Second
				case 2:
					wait += time.Duration(v)
				}
			})
		})
	})
	return wait, told
}

// fields calls f with each field of a message that is a number or bytes, up to what is none.
func fields(b []byte, f func(n protowire.Number, v uint64, bytes []byte)) {
	for len(b) > 0 {
		n, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return
		}
		b = b[size:]
		var v uint64
		var inner []byte
		switch kind {
		case protowire.VarintType:
			v, size = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			inner, size = protowire.ConsumeBytes(b)
		default:
			size = protowire.ConsumeFieldValue(n, kind, b)
		}
		if size < 0 {
			return
		}
		b = b[size:]
		f(n, v, inner)
	}
}
