package backends

import (
	"fmt"
	"testing"

	"github.com/sandtree/sandtree/sandbox"
)

// BenchmarkAdmit is what a start pays where so many sandboxes are.
func BenchmarkAdmit(b *testing.B) {
	for _, n := range []int{0, 500} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a, err := OpenAdmission(AdmissionConfig{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			for i := range n {
				if _, err := a.admit(b.Context(), "jail", sandbox.Spec{ID: sandbox.ID(fmt.Sprint("other", i))}, nil); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if _, err := a.admit(b.Context(), "jail", sandbox.Spec{ID: "x"}, nil); err != nil {
					b.Fatal(err)
				}
				if err := a.release("jail", "x"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
