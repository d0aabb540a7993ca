package server

import (
	"net/netip"
	"strings"
	"testing"
	"unsafe"
)

// littleEndian says what order this machine has, as the kernel's addresses are written in it.
func littleEndian() bool { one := uint16(1); return *(*byte)(unsafe.Pointer(&one)) == 1 }

func TestParseListener(t *testing.T) {
	if !littleEndian() {
		t.Skip("the lines below are of a machine of the other byte order")
	}
	const rest = " 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0"
	for line, want := range map[string]string{
		"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000" + rest:                                                 "127.0.0.1:8080",
		"   1: 00000000:0050 00000000:0000 0A 00000000:00000000" + rest:                                                 "0.0.0.0:80",
		"   2: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000" + rest: "[::1]:8080",
		"   3: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000" + rest: "127.0.0.1:8080",
		"   4: 0100007F:1F90 0100007F:9DFE 01 00000000:00000000" + rest:                                                 "",
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode":              "",
		"   5: 0100007F:1F900 00000000:0000 0A 00000000:00000000" + rest:                                                "",
		"   6: 01007F:1F90 00000000:0000 0A 00000000:00000000" + rest:                                                   "",
		"   7: 0100007F 00000000:0000 0A 00000000:00000000" + rest:                                                      "",
		"": "",
	} {
		got, ok := parseListener([]byte(line))
		if ok != (want != "") || ok && (got.at != netip.MustParseAddrPort(want) || got.inode != 4711) {
			t.Errorf("%s: %v, %t; want %s", line, got, ok, want)
		}
	}
}

func FuzzParseListener(f *testing.F) {
	f.Add([]byte("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 x 100 0 0 10 0"))
	f.Add([]byte("   2: 00000000000000000000000001000000:1F90 0:0 0A 0:0 00:0 0 1000 0 18446744073709551616"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if l, ok := parseListener(line); ok && !l.at.IsValid() {
			t.Errorf("%q: %v", line, l)
		}
	})
}

func TestParsePort(t *testing.T) {
	for uri, want := range map[string]portTarget{
		"/v1/ports/80":                  {port: 80},
		"/v1/ports/80?wait=1":           {port: 80},
		"/v1/ports/80/":                 {80, "/"},
		"/v1/ports/80/?a=b":             {80, "/?a=b"},
		"/v1/ports/65535/a%2fb/../c?d":  {65535, "/a%2fb/../c?d"},
		"/v1/ports/80//x":               {80, "//x"},
		"http://host/v1/ports/80/x":     {80, "/x"},
		"http://host:1/v1/ports/80?x=/": {port: 80},
	} {
		if got, err := parsePort(uri); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", uri, got, err, want)
		}
	}
	for _, uri := range []string{"", "/", "/v1/ports", "/v1/ports/", "/v1/ports/0", "/v1/ports/080/", "/v1/ports/+80/", "/v1/ports/65536/", "/v1/ports/8 0/",
		"/v1/ports/80:81/", "//v1/ports/80/", "/v1/./ports/80/", "http://host", "://v1/ports/80", "/v1/ports/80%2F/", "/x://y/v1/ports/80/"} {
		if got, err := parsePort(uri); err == nil {
			t.Errorf("%s: %v", uri, got)
		}
	}
}

// A program is asked for a part of what the client has asked for, and the port is the number that stands there.
func FuzzParsePort(f *testing.F) {
	for _, uri := range []string{"/v1/ports/80/x?y", "http://h/v1/ports/1/", "/v1/ports/80", "http://", "/v1/ports/80/%2e%2e/"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		to, err := parsePort(uri)
		if err != nil {
			return
		}
		if to.port < 1 || to.port > 65535 || !strings.HasSuffix(uri, to.path) || to.path != "" && to.path[0] != '/' {
			t.Errorf("%q: %+v", uri, to)
		}
	})
}
