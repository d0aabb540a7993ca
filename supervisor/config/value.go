package config

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Quantity is a number that may be given with a unit: "2 GB", "512 MiB", "100M". Negative means none.
type Quantity int64

// resolver makes file names absolute.
type resolver struct{ dir, home string }

func (r resolver) path(s string) string {
	switch {
	case s == "" || filepath.IsAbs(s):
		return s
	case s == "~" || strings.HasPrefix(s, "~/"):
		return filepath.Join(r.home, s[1:])
	}
	return filepath.Join(r.dir, s)
}

// parse makes a value of k's type of what a file has, or a text.
func (k key) parse(v any, r resolver) (any, error) {
	switch k.typ {
	case reflect.TypeFor[time.Duration]():
		return duration(v)
	case reflect.TypeFor[Quantity]():
		return quantity(v)
	case reflect.TypeFor[[]string]():
		return list(v)
	}
	switch k.typ.Kind() {
	case reflect.String:
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("want a text in quotes, have %s", show(v))
		}
		if k.path {
			s = r.path(s)
		}
		return s, nil
	case reflect.Bool:
		return boolean(v)
	case reflect.Int, reflect.Int64:
		n, err := number(v)
		if err != nil || n != math.Trunc(n) || math.Abs(n) > math.MaxInt32 {
			return nil, fmt.Errorf("want a whole number, have %s", show(v))
		}
		return int(n), nil
	case reflect.Float64:
		n, err := number(v)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return nil, fmt.Errorf("want a number, have %s", show(v))
		}
		return n, nil
	}
	return nil, fmt.Errorf("cannot be set: it is of type %v", k.typ)
}

func duration(v any) (any, error) {
	if s, ok := v.(string); ok {
		if d, err := time.ParseDuration(s); err == nil {
			return d, nil
		}
	}
	if n, err := number(v); err == nil && n == 0 {
		return time.Duration(0), nil
	}
	return nil, fmt.Errorf(`want a duration such as "3s" or "1m30s", have %s`, show(v))
}

func quantity(v any) (any, error) {
	if n, err := number(v); err == nil && n == math.Trunc(n) && math.Abs(n) < 1<<62 {
		return Quantity(n), nil
	}
	if s, ok := v.(string); ok {
		if n, err := humanize.ParseBytes(s); err == nil && n < 1<<62 {
			return Quantity(n), nil
		}
	}
	return nil, fmt.Errorf(`want a number or a size such as "2 GB", have %s`, show(v))
}

// list reads texts: a list of them, or one text with commas, as an environment variable has it.
func list(v any) (any, error) {
	words := []string{}
	switch v := v.(type) {
	case string:
		for w := range strings.SplitSeq(v, ",") {
			if w = strings.TrimSpace(w); w != "" {
				words = append(words, w)
			}
		}
		return words, nil
	case []any:
		for _, w := range v {
			s, ok := w.(string)
			if !ok {
				return nil, fmt.Errorf("want a list of texts in quotes, have %s in it", show(w))
			}
			words = append(words, s)
		}
		return words, nil
	}
	return nil, fmt.Errorf("want a list of texts, have %s", show(v))
}

func boolean(v any) (any, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		if b, err := strconv.ParseBool(v); err == nil {
			return b, nil
		}
	}
	return nil, fmt.Errorf("want true or false, have %s", show(v))
}

var errNumber = errors.New("not a number")

func number(v any) (float64, error) {
	switch v := v.(type) {
	case int:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case uint64:
		return float64(v), nil
	case float64:
		return v, nil
	case string:
		return strconv.ParseFloat(v, 64)
	}
	return 0, errNumber
}

// show tells what was found, shortly.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%.60q", v)
	case map[string]any:
		return "a table"
	case []any:
		return "a list"
	case nil:
		return "nothing"
	}
	return fmt.Sprintf("%.60s", fmt.Sprint(v))
}

func oneOf(have, words string) error {
	list := strings.Fields(words)
	for _, w := range list {
		if w == have {
			return nil
		}
	}
	return fmt.Errorf("want %s or %s, have %q", strings.Join(list[:len(list)-1], ", "), list[len(list)-1], have)
}
