package result

import (
	"math"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
)

// Figure is a value in its unit as people write it, with three digits: "312 µs", "1.45 GB", "4,120/s", "38.2 %", "17".
// Units are those of Series.Unit, and "ratio", as in "1.52×". An unknown unit stands behind the number as it is.
func Figure(v float64, unit string) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	switch unit {
	case "ns":
		return prefixed(v*1e-9, "s")
	case "bytes":
		return prefixed(v, "B")
	case "1/s":
		return digits3(v) + "/s"
	case "percent":
		return digits3(v) + " %"
	case "ratio":
		return digits3(v) + "×"
	case "1", "":
		return digits3(v)
	}
	return digits3(v) + " " + unit
}

// prefixed uses the prefixes of SI, so that a kilobyte is 1,000 bytes. There are no milli-bytes and no kilo-seconds.
func prefixed(v float64, unit string) string {
	scaled, prefix := v, ""
	if v != 0 && (unit == "s") == (math.Abs(v) < 1) {
		scaled, prefix = humanize.ComputeSI(v)
	}
	return digits3(scaled) + " " + prefix + unit
}

// digits3 is a number with three digits, and all that it has before the point.
func digits3(v float64) string {
	if whole := math.Round(v); math.Abs(v-whole) < 1e-9*math.Abs(v) {
		v = whole // scaling leaves 15.000000000000002
	}
	size := math.Abs(v)
	decimals := 2
	switch {
	case size == math.Trunc(size) && size < 1e15 || size >= 100:
		decimals = 0
	case size >= 10:
		decimals = 1
	}
	if size >= 1e15 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	if decimals == 0 {
		return humanize.Comma(int64(math.Round(v)))
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if size < 0.005 {
		s = strconv.FormatFloat(v, 'g', 2, 64)
	}
	return strings.TrimSuffix(s, ".00")
}
