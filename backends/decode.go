package backends

import (
	"fmt"
	"reflect"

	"github.com/go-viper/mapstructure/v2"

	"github.com/sandtree/sandtree/sandbox"
)

// Decode fills the struct that into points to from a driver's part of the configuration. Keys are the fields' `koanf`
// tags; strings stand for numbers, booleans and durations too, since that is how an environment gives them. A key that
// no field has is an error. Code: Invalid.
func Decode(values map[string]any, into any) error {
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		TagName:          "koanf",
		ErrorUnused:      true,
		WeaklyTypedInput: true,
		Result:           into,
		DecodeHook:       mapstructure.StringToTimeDurationHookFunc(),
	})
	if err != nil {
		return &sandbox.Error{Code: sandbox.Internal, Op: "decode " + reflect.TypeOf(into).String(), Err: err}
	}
	if err := d.Decode(values); err != nil {
		return &sandbox.Error{Code: sandbox.Invalid, Op: "decode options", Err: fmt.Errorf("driver options: %w", err)}
	}
	return nil
}
