package audit

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sandtree/sandtree/sandbox"
)

// describe reads what a call is about. The letters of a form, one for each argument:
//
//	d  a directory's descriptor, which the next path begins from
//	p  a path
//	t  a text that is no path of its own, as that in a link
//	a  a list of arguments, ended by 0
//	o  flags of open(2)
//	f  a descriptor, whose file the call is about
//	n  a number
//	-  what is not told
func describe(n *notice, c Call) sandbox.AuditRecord {
	r := record{AuditRecord: sandbox.AuditRecord{Kind: c.Kind, Call: c.Name, Write: c.Write}}
	if c.Errno != 0 {
		r.Denied = unix.ErrnoName(unix.Errno(c.Errno))
	}
	m := memory(n.PID)
	from := int32(unix.AT_FDCWD)
	for i, letter := range c.Form {
		if i >= len(n.Args) {
			break
		}
		switch arg := n.Args[i]; letter {
		case 'd':
			from = int32(arg)
		case 'p':
			s, cut := m.text(arg, maxPath)
			r.add(m.absolute(s, from), cut)
			from = unix.AT_FDCWD
		case 't':
			s, cut := m.text(arg, maxPath)
			r.add(s, cut)
		case 'f':
			r.add(m.place(int32(arg)), false)
		case 'a':
			var cut bool
			r.Argv, cut = m.texts(arg)
			r.Cut = r.Cut || cut
		case 'o':
			r.Write = arg&(unix.O_WRONLY|unix.O_RDWR|unix.O_TRUNC|unix.O_CREAT) != 0
		case 'n':
			r.Numbers = append(r.Numbers, arg)
		}
	}
	return r.AuditRecord
}

type record struct {
	sandbox.AuditRecord
	paths int
}

// add notes a path: the first, or the second.
func (r *record) add(s string, cut bool) {
	if r.paths++; r.paths == 1 {
		r.Path = s
	} else {
		r.To = s
	}
	r.Cut = r.Cut || cut
}

// absolute makes a path begin with the root, if it can be told where it begins. Links are not followed: what they point to may
// be another thing by now.
func (m memory) absolute(s string, from int32) string {
	if strings.HasPrefix(s, "/") {
		return s
	}
	dir := m.place(from)
	if !strings.HasPrefix(dir, "/") {
		return s
	}
	if s == "" {
		return dir
	}
	return path.Join(dir, s)
}
