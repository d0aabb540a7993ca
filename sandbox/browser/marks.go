package browser

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"slices"
)

// colors are those of the boxes, in turn.
var colors = [...]color.RGBA{{0xd6, 0x27, 0x28, 255}, {0x1f, 0x77, 0xb4, 255}, {0x2c, 0xa0, 0x2c, 255}, {0x94, 0x67, 0xbd, 255},
	{0xff, 0x7f, 0x0e, 255}, {0x8c, 0x56, 0x4b, 255}, {0xe3, 0x77, 0xc2, 255}, {0x17, 0xbe, 0xcf, 255}}

// setOfMarks draws a box with its bid around every element that can be acted upon.
func setOfMarks(shot []byte, elements map[string]element) ([]byte, error) {
	decoded, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return nil, err
	}
	picture, ok := decoded.(*image.RGBA)
	if !ok {
		picture = image.NewRGBA(decoded.Bounds())
		draw.Draw(picture, picture.Bounds(), decoded, decoded.Bounds().Min, draw.Src)
	}
	i := 0
	for _, bid := range slices.Sorted(maps.Keys(elements)) {
		if e := elements[bid]; e.Marked && e.Box != nil {
			x, y, w, h := int(e.Box[0]), int(e.Box[1]), int(e.Box[2]), int(e.Box[3])
			mark(picture, image.Rect(x, y, x+w, y+h), bid, colors[i%len(colors)])
			i++
		}
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	err = encoder.Encode(&out, picture)
	return out.Bytes(), err
}

// mark draws one box, and its label at the upper left corner.
func mark(p *image.RGBA, box image.Rectangle, label string, c color.RGBA) {
	fill := func(r image.Rectangle, c color.Color) {
		draw.Draw(p, r.Intersect(p.Bounds()), image.NewUniform(c), image.Point{}, draw.Src)
	}
	const line = 2 // pixels
	box = box.Intersect(p.Bounds())
	fill(image.Rect(box.Min.X, box.Min.Y, box.Max.X, box.Min.Y+line), c)
	fill(image.Rect(box.Min.X, box.Max.Y-line, box.Max.X, box.Max.Y), c)
	fill(image.Rect(box.Min.X, box.Min.Y, box.Min.X+line, box.Max.Y), c)
	fill(image.Rect(box.Max.X-line, box.Min.Y, box.Max.X, box.Max.Y), c)

	const wide, high, scale = 6, 9, 2 // of a letter with what is around it
	label = label[:min(len(label), 12)]
	at := image.Pt(min(box.Min.X, p.Bounds().Max.X-len(label)*wide*scale), max(box.Min.Y-high*scale, 0))
	fill(image.Rectangle{at, at.Add(image.Pt((len(label)*wide+1)*scale, high*scale))}, c)
	for i := range len(label) {
		glyph := glyphOf(label[i])
		for column := range 5 {
			for bit := range 7 {
				if glyph>>(column*8+bit)&1 == 1 {
					x, y := at.X+(i*wide+column+1)*scale, at.Y+(bit+1)*scale
					fill(image.Rect(x, y, x+scale, y+scale), color.White)
				}
			}
		}
	}
}

// glyphs are the letters that bids have, of five columns and seven bits each, the first column in the lowest byte and the
// upper pixel in the lowest bit: 0 to 9, A to Z, a to z.
var glyphs = [...]uint64{
	0x3e4549513e, 0x00407f4200, 0x4649516142, 0x314b454121, 0x107f121418, 0x3945454527, 0x3049494a3c, 0x0305097101, 0x3649494936, 0x1e29494906,
	0x7e1111117e, 0x364949497f, 0x224141413e, 0x1c2241417f, 0x414949497f, 0x010909097f, 0x7a4949413e, 0x7f0808087f, 0x00417f4100, 0x013f414020,
	0x412214087f, 0x404040407f, 0x7f020c027f, 0x7f1008047f, 0x3e4141413e, 0x060909097f, 0x5e2151413e, 0x462919097f, 0x3149494946, 0x01017f0101,
	0x3f4040403f, 0x1f2040201f, 0x3f4038403f, 0x6314081463, 0x0708700807, 0x4345495161,
	0x7854545420, 0x384444487f, 0x2044444438, 0x7f48444438, 0x1854545438, 0x0201097e08, 0x3e5252520c, 0x780404087f, 0x00407d4400, 0x003d444020,
	0x004428107f, 0x00407f4100, 0x780418047c, 0x780404087c, 0x3844444438, 0x081414147c, 0x7c18141408, 0x080404087c, 0x2054545448, 0x2040443f04,
	0x7c2040403c, 0x1c2040201c, 0x3c4030403c, 0x4428102844, 0x3c5050500c, 0x444c546444,
}

func glyphOf(c byte) uint64 {
	switch {
	case c >= '0' && c <= '9':
		return glyphs[c-'0']
	case c >= 'A' && c <= 'Z':
		return glyphs[10+c-'A']
	case c >= 'a' && c <= 'z':
		return glyphs[36+c-'a']
	}
	return 0
}
