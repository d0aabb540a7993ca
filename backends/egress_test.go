package backends_test

import (
	"context"
	"testing"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/testing/pipenet"
)

// guarded is a cloud whose machines are filtered.
type guarded struct{ *cloud }

func (g guarded) Start(ctx context.Context, spec sandbox.Spec) (backends.Instance, error) {
	i, err := g.cloud.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	return &filtered{vm: i.(*vm)}, nil
}

type filtered struct {
	*vm
	policy sandbox.Egress
}

func (f *filtered) SetEgress(_ context.Context, e sandbox.Egress) error { f.policy = e; return nil }
func (f *filtered) Traffic() sandbox.Traffic                            { return sandbox.Traffic{Sent: 7} }

func TestSetEgress(t *testing.T) {
	pipenet.Test(t, func(t *testing.T) {
		for name, d := range map[string]backends.Driver{"plain": newCloud(t), "guarded": guarded{newCloud(t)}} {
			s, err := backends.Open(name, d, backends.Config{}).Start(t.Context(), sandbox.Spec{ID: "x"})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			set := func(e sandbox.Egress) sandbox.Code { return sandbox.CodeOf(s.SetEgress(t.Context(), e)) }
			traffic, err := s.Traffic()
			if code := set(sandbox.Egress{Mode: "x"}); code != sandbox.Invalid {
				t.Errorf("%s: a policy that is none: %q", name, code)
			}
			code := set(sandbox.Egress{Mode: sandbox.EgressDenyAll})
			if name == "plain" {
				if code != sandbox.Unsupported || sandbox.CodeOf(err) != sandbox.Unsupported {
					t.Errorf("%s: %q, %v", name, code, err)
				}
				continue
			}
			f := s.Instance().(*filtered)
			if code != "" || err != nil || f.policy.Mode != sandbox.EgressDenyAll || traffic.Sent != 7 {
				t.Errorf("%s: %q, %v, %+v, %+v", name, code, err, f.policy, traffic)
			}
		}
	})
}
