package shell

// A grid holds lines by absolute number: those of the screen, and above them its history. Lines live in a ring of
// chunks made when needed, so that an idle grid is small and a full one never moves its lines.
type grid struct {
	keep   int // lines kept at most, the screen's included
	first  int // number of the oldest line kept
	count  int // lines kept
	top    int // number of the screen's first row
	chunks []*chunk
}

const (
	chunkLines = 256
	slabText   = 128 // bytes: most lines of most programs fit
)

// A chunk is a piece of the ring. Its lines begin with buffers that come with it, so that few need one of their own.
type chunk struct {
	lines [chunkLines]line
	slab  [chunkLines * slabText]byte
}

// renew gives line i its first buffer.
func (c *chunk) renew(i int) {
	c.lines[i] = line{text: c.slab[i*slabText : i*slabText : (i+1)*slabText]}
}

func (g *grid) slot(n int) *line {
	n %= g.keep
	return &g.chunks[n/chunkLines].lines[n%chunkLines]
}

func (g *grid) has(n int) bool { return n >= g.first && n < g.first+g.count }

// at is line n, which must be there.
func (g *grid) at(n int) *line { return g.slot(n) }

// ensure makes all lines up to n exist, and reports whether old ones had to go for it.
func (g *grid) ensure(n int) (lost bool) {
	for g.first+g.count <= n {
		if g.count == g.keep {
			g.first++
			g.count--
			lost = true
		}
		next := (g.first + g.count) % g.keep
		if g.chunks == nil {
			g.chunks = make([]*chunk, (g.keep+chunkLines-1)/chunkLines)
		}
		c := g.chunks[next/chunkLines]
		if c == nil {
			c = new(chunk)
			for i := range c.lines {
				c.renew(i)
			}
			g.chunks[next/chunkLines] = c
		}
		c.lines[next%chunkLines].reset()
		g.count++
	}
	return lost
}

// clear forgets all lines and most of the memory they took.
func (g *grid) clear() {
	for i := 1; i < len(g.chunks); i++ {
		g.chunks[i] = nil
	}
	if g.chunks != nil && g.chunks[0] != nil {
		for i := range min(g.first+g.count, chunkLines) {
			g.chunks[0].renew(i) // all: rotate may have exchanged their buffers
		}
	}
	g.first, g.count, g.top = 0, 0, 0
}

// trim takes empty lines off the end.
func (g *grid) trim() {
	for g.count > 0 && g.at(g.first+g.count-1).length() == 0 {
		g.count--
	}
}

// dropAbove forgets the lines above the screen and reports whether there were any that showed something.
func (g *grid) dropAbove() (lost bool) {
	for g.count > 0 && g.first < g.top {
		lost = lost || g.at(g.first).length() > 0
		g.first++
		g.count--
	}
	if g.first < g.top {
		g.first = g.top
	}
	return lost
}

// rotate moves the lines from..to up by one, or down by one, and blanks the one that this frees.
func (g *grid) rotate(from, to int, up bool) {
	if up {
		freed := *g.at(from)
		for n := from; n < to; n++ {
			*g.at(n) = *g.at(n + 1)
		}
		*g.at(to) = freed
		g.at(to).reset()
		return
	}
	freed := *g.at(to)
	for n := to; n > from; n-- {
		*g.at(n) = *g.at(n - 1)
	}
	*g.at(from) = freed
	g.at(from).reset()
}
