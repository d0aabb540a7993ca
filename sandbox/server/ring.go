package server

// A ring holds the end of an action's output: at most max bytes, and no more memory than the output has needed. Bytes are
// known by their offset from the output's beginning.
type ring struct {
	buf  []byte // its length is a power of two, so that a byte's place is its offset under a mask
	base uint64 // nothing before it is held
	end  uint64 // offset after the last byte
	max  int    // of len(buf); a power of two
}

const minRing = 1 << 10 // bytes: what most commands print

// newRing makes a ring for max bytes, rounded up to a power of two.
func newRing(max int) ring {
	size := minRing
	for size < max {
		size *= 2
	}
	return ring{max: size}
}

// start is the offset of the oldest byte held, or end.
func (r *ring) start() uint64 {
	if n := uint64(len(r.buf)); r.end-r.base > n {
		return r.end - n
	}
	return r.base
}

// write adds p, which begins at offset: what is known already is left out, and after a gap the ring begins again.
func (r *ring) write(offset uint64, p []byte) {
	if offset > r.end {
		r.base, r.end = offset, offset
	}
	if known := r.end - offset; known >= uint64(len(p)) {
		return
	} else {
		p = p[known:]
	}
	if skip := len(p) - r.max; skip > 0 { // it pushes out all before, and its own beginning
		r.end += uint64(skip)
		r.base = r.end
		p = p[skip:]
	}
	r.grow(r.end - r.start() + uint64(len(p)))
	for len(p) > 0 {
		n := copy(r.buf[r.end&uint64(len(r.buf)-1):], p)
		r.end += uint64(n)
		p = p[n:]
	}
}

// grow makes room for need bytes, or for max.
func (r *ring) grow(need uint64) {
	size := max(len(r.buf), minRing)
	for uint64(size) < need && size < r.max {
		size *= 2
	}
	if size == len(r.buf) {
		return
	}
	bigger := ring{buf: make([]byte, size), base: r.start(), end: r.start(), max: r.max}
	for bigger.end < r.end {
		bigger.write(bigger.end, r.piece(bigger.end))
	}
	*r = bigger
}

// piece is what is held in one piece from offset on, which is not before start. It is valid until the next write.
func (r *ring) piece(offset uint64) []byte {
	if offset >= r.end {
		return nil
	}
	i := int(offset & uint64(len(r.buf)-1))
	return r.buf[i : i+int(min(uint64(len(r.buf)-i), r.end-offset))]
}
