package server

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sandtree/sandtree/internal/reap"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// A listener is a TCP socket of this network namespace that takes connections.
type listener struct {
	at    netip.AddrPort
	inode uint64 // by which its owners are found
}

// maxListeners bounds what is told: a program can open as many as it may have descriptors.
const maxListeners = 4096

// listening reads the kernel's tables of sockets.
func listening() ([]listener, error) {
	var all []listener
	read := 0
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) && read > 0 {
			continue // no IPv6
		}
		if err != nil {
			return nil, err
		}
		read++
		for lines := bufio.NewScanner(f); lines.Scan() && len(all) < maxListeners; {
			if l, ok := parseListener(lines.Bytes()); ok {
				all = append(all, l)
			}
		}
		f.Close()
	}
	return all, nil
}

// parseListener reads a line of /proc/net/tcp or tcp6; false unless it is of a socket that listens.
func parseListener(line []byte) (listener, bool) {
	f := bytes.Fields(line) // number:, local address, remote address, state, queues, timer, retransmits, uid, timeout, inode, …
	const listen = "0A"
	if len(f) < 10 || string(f[3]) != listen {
		return listener{}, false
	}
	host, port, ok := strings.Cut(string(f[1]), ":")
	b, err := hex.DecodeString(host)
	n, err2 := strconv.ParseUint(port, 16, 16)
	inode, err3 := strconv.ParseUint(string(f[9]), 10, 64)
	if !ok || errors.Join(err, err2, err3) != nil || len(b) != 4 && len(b) != 16 {
		return listener{}, false
	}
	for w := b; len(w) > 0; w = w[4:] { // words of the machine's byte order
		binary.BigEndian.PutUint32(w, binary.NativeEndian.Uint32(w))
	}
	ip, _ := netip.AddrFromSlice(b)
	return listener{netip.AddrPortFrom(ip.Unmap(), uint16(n)), inode}, true
}

// ports are those that programs of the sandbox listen at, in order; not the server's own, nor those of programs that it
// runs for itself.
func (s *Server) ports() ([]wire.Port, error) {
	all, err := listening()
	if err != nil {
		return nil, err
	}
	owners, err := s.owners(all)
	if err != nil {
		return nil, err
	}
	ports := []wire.Port{} // which is [] in JSON
	for _, l := range all {
		if pid, ok := owners[l.inode]; ok {
			ports = append(ports, wire.Port{Port: int(l.at.Port()), Address: l.at.Addr().String(), PID: pid, Program: programOf(pid)})
		}
	}
	slices.SortFunc(ports, func(a, b wire.Port) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Address, b.Address), cmp.Compare(a.PID, b.PID))
	})
	return slices.CompactFunc(ports, func(a, b wire.Port) bool { return a.Port == b.Port && a.Address == b.Address }), nil
}

// owners finds which of the sandbox's processes have the sockets; of several the first.
func (s *Server) owners(of []listener) (map[uint64]int, error) {
	wanted := map[string]uint64{}
	for _, l := range of {
		wanted["socket:["+strconv.FormatUint(l.inode, 10)+"]"] = l.inode
	}
	procs, err := s.inhabitants()
	if err != nil {
		return nil, err
	}
	found := map[uint64]int{}
	for _, p := range procs {
		dir := "/proc/" + strconv.Itoa(p.PID) + "/fd/"
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue // ended, or not ours to look at
		}
		for _, fd := range fds {
			target, err := os.Readlink(dir + fd.Name())
			if inode, ok := wanted[target]; ok && err == nil {
				if first, ok := found[inode]; !ok || p.PID < first {
					found[inode] = p.PID
				}
			}
		}
	}
	return found, nil
}

// inhabitants are the sandbox's processes besides the server: what is in its cgroup, what it has started and what they
// have, and what bears its mark.
func (s *Server) inhabitants() ([]reap.Proc, error) {
	finders := []reap.Finder{reap.Descendants(os.Getpid()), reap.Marked(EnvMark, s.config.Mark)}
	if s.config.Cgroup != "" {
		finders = append(finders, reap.InCgroup(s.config.Cgroup))
	}
	return reap.Any(finders...)()
}

// programOf is the name of a process; "" if it has ended.
func programOf(pid int) string {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	return strings.ToValidUTF8(strings.TrimSuffix(string(b), "\n"), "?")
}
