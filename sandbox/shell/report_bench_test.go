package shell

import (
	"bytes"
	"testing"
)

// BenchmarkReport is finding the report of one command, as bash writes it: alone, and behind what a command has written there.
func BenchmarkReport(b *testing.B) {
	secret := []byte("0123456789")
	whole := bytes.Join([][]byte{secret, []byte("\x1f0\x1f0:17\x1f4711\x1f\x1f/workspace/project\x1f/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), secret}, nil)
	for name, before := range map[string][]byte{"alone": nil, "behind 64 kB": bytes.Repeat([]byte("0123456-"), 8192)} {
		b.Run(name, func(b *testing.B) {
			var p reportParser
			b.ReportAllocs()
			for b.Loop() {
				for rest := before; len(rest) > 0; rest = rest[min(4096, len(rest)):] {
					p.feed(rest[:min(4096, len(rest))], secret)
				}
				if !p.feed(whole, secret) || p.pid != 4711 {
					b.Fatal(p.report)
				}
			}
		})
	}
}
