package backends

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sandtree/sandtree/sandbox"
)

// An Explainer is a Limiter that can say why it does not enforce a limit, by its name; nil if it does, or does not know.
type Explainer interface{ WhyNot(limit string) error }

// explain adds to the refusal of a limit why it is refused.
func (b *Backend) explain(err error) error {
	e, ok := errors.AsType[*sandbox.Error](err)
	x, can := b.driver.(Explainer)
	if !ok || !can || e.Code != sandbox.Unsupported {
		return err
	}
	limit, ok := strings.CutPrefix(e.Op, "limits.")
	if !ok {
		return err
	}
	if why := x.WhyNot(limit); why != nil {
		return &sandbox.Error{Code: e.Code, Op: e.Op, ID: e.ID, Err: fmt.Errorf("%w: %w", e.Err, why)}
	}
	return err
}
