package need

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Port is a port at which nobody listens, at no address of this machine, and which Linux gives to nobody who asks for any
// (ip_local_port_range begins above): one of those that was free a moment ago may be somebody's connection by now.
func Port(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := 12_000 + rand.IntN(18_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("there is no free port")
	return 0
}
