package server

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/sandtree/sandtree/sandbox/wire"
	"github.com/valyala/fasthttp"
)

// tunnelPort makes the connection of ctx one to the port, for programs that speak something else than HTTP. Either side
// may end what it says and listen on.
func (s *Server) tunnelPort(ctx *fasthttp.RequestCtx, port int) {
	dial := func(ctx context.Context) (net.Conn, error) { return dialPort(ctx, port) }
	s.hand(ctx, dial, func(conn, far net.Conn) error {
		const head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + wire.UpgradePort + "\r\n\r\n"
		if _, err := conn.Write([]byte(head)); err != nil {
			return err
		}
		var there sync.WaitGroup
		var err error
		there.Go(func() {
			if err = oneWay(far, conn); err != nil {
				far.Close() // the client has gone: its program is not to wait for it
			}
		})
		back := oneWay(conn, far)
		if back != nil {
			underlying(conn).Close()
		}
		there.Wait()
		return errors.Join(err, back)
	})
}

// oneWay copies until src ends, and tells dst that it has.
func oneWay(dst, src net.Conn) error {
	if err := relay(dst, src, false, make([]byte, forwardChunk)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if half, ok := underlying(dst).(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return underlying(dst).Close()
}
