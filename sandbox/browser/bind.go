package browser

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// A param is an argument that a call takes. Without a default it must be given.
type param struct {
	name  string
	kind  kind
	value any // the default; nil none
}

// kind is what an argument may be.
type kind int

const (
	text  kind = iota // a string; a number is taken for the string that it is written as, for bids look like numbers
	real              // a number
	whole             // a number without fraction
	texts             // a string or a list of strings
)

var kindNames = [...]string{"a string", "a number", "an integer", "a string or a list of strings"}

// An operation is one word of the vocabulary.
type operation struct {
	params []param
	do     func(context.Context, *turn, arguments) error
}

// arguments are those of a call, in the order of its parameters: string, float64, int or []string.
type arguments []any

func (a arguments) text(i int) string    { return a[i].(string) }
func (a arguments) real(i int) float64   { return a[i].(float64) }
func (a arguments) whole(i int) int      { return a[i].(int) }
func (a arguments) texts(i int) []string { return a[i].([]string) }

// bind gives each parameter of s its argument, with Python's errors.
func bind(s step, params []param) (arguments, error) {
	if len(s.args) > len(params) {
		return nil, failed("TypeError", "%s() takes %d positional arguments but %d were given", s.name, len(params), len(s.args))
	}
	bound := make(arguments, len(params))
	given := make([]bool, len(params))
	set := func(i int, v any) (err error) {
		if given[i] {
			return failed("TypeError", "%s() got multiple values for argument '%s'", s.name, params[i].name)
		}
		given[i] = true
		var ok bool
		if bound[i], ok = convert(v, params[i].kind); !ok {
			return failed("TypeError", "%s() argument '%s' must be %s", s.name, params[i].name, kindNames[params[i].kind])
		}
		return nil
	}
	for i, v := range s.args {
		if err := set(i, v); err != nil {
			return nil, err
		}
	}
	for _, n := range s.named {
		i := slices.IndexFunc(params, func(p param) bool { return p.name == n.name })
		if i < 0 {
			return nil, failed("TypeError", "%s() got an unexpected keyword argument '%s'", s.name, n.name)
		}
		if err := set(i, n.value); err != nil {
			return nil, err
		}
	}
	for i, p := range params {
		if given[i] {
			continue
		}
		if p.value == nil {
			return nil, failed("TypeError", "%s() missing 1 required positional argument: '%s'", s.name, p.name)
		}
		bound[i] = p.value
	}
	return bound, nil
}

func convert(v any, k kind) (any, bool) {
	switch k {
	case text:
		switch v := v.(type) {
		case string:
			return v, true
		case int:
			return strconv.Itoa(v), true
		}
	case real:
		switch v := v.(type) {
		case int:
			return float64(v), true
		case float64:
			return v, v-v == 0 // neither infinite nor not a number
		}
	case whole:
		switch v := v.(type) {
		case int:
			return v, true
		case float64:
			return int(v), v == float64(int(v))
		}
	case texts:
		return convertTexts(v)
	}
	return nil, false
}

func convertTexts(v any) (any, bool) {
	list, ok := v.([]any)
	if !ok {
		one, ok := convert(v, text)
		if !ok {
			return nil, false
		}
		return []string{one.(string)}, true
	}
	all := make([]string, len(list))
	for i, v := range list {
		if all[i], ok = v.(string); !ok {
			return nil, false
		}
	}
	return all, true
}

// modifierBits are the keys that may be held, as the protocol numbers them.
func modifierBits(names []string) (bits int64, err error) {
	for _, name := range names {
		switch strings.ToLower(name) {
		case "alt":
			bits |= 1
		case "control", "ctrl", "controlormeta":
			bits |= 2
		case "meta":
			bits |= 4
		case "shift":
			bits |= 8
		default:
			return 0, failed("ValueError", "unknown modifier %q: there are Alt, Control, ControlOrMeta, Meta, Shift", name)
		}
	}
	return bits, nil
}
