package mcp_test

import (
	"context"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

//lint:file-ignore SA1019 log messages belong to the protocols spoken here

func TestPromptsResourcesAndCompletionsFindTheirServer(t *testing.T) {
	h := open(t, acting(t, "a", "one"), acting(t, "b", "two"))
	s := connect(t, h, "/mcp", nil)
	if p, err := s.GetPrompt(t.Context(), &sdk.GetPromptParams{Name: "b_greet", Arguments: map[string]string{"x": "?"}}); err != nil || p.Description != "greet?" {
		t.Errorf("a prompt: %+v, %v", p, err)
	}
	if _, err := s.GetPrompt(t.Context(), &sdk.GetPromptParams{Name: "greet"}); err == nil {
		t.Error("a prompt without its server's name is found")
	}
	for uri, want := range map[string]string{"test://one": "one", "test://two": "two", "test://same": "one", "test://two/x": "two"} {
		r, err := s.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: uri})
		if err != nil || len(r.Contents) != 1 || r.Contents[0].Text != want {
			t.Errorf("%s: %+v, %v; want it from %s", uri, r, err, want)
		}
	}
	if _, err := s.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "test://none"}); err == nil {
		t.Error("a resource that is nowhere is read")
	}
	for _, c := range []struct {
		ref  sdk.CompleteReference
		want string
	}{
		{sdk.CompleteReference{Type: "ref/prompt", Name: "a_greet"}, "greet!"},
		{sdk.CompleteReference{Type: "ref/resource", URI: "test://two/{x}"}, "test://two/{x}!"},
	} {
		r, err := s.Complete(t.Context(), &sdk.CompleteParams{Ref: &c.ref, Argument: sdk.CompleteParamsArgument{Name: "x", Value: "v"}})
		if err != nil || len(r.Completion.Values) != 1 || r.Completion.Values[0] != c.want {
			t.Errorf("completing for %+v: %+v, %v", c.ref, r, err)
		}
	}
}

// TestNewsReachThoseWhoWantThem: log messages from a client's level on, and changes to resources; also from a server
// that has come back.
func TestNewsReachThoseWhoWantThem(t *testing.T) {
	h := open(t, acting(t, "a", "one"))
	for _, path := range []string{"/sse", "/mcp"} {
		t.Run(path, func(t *testing.T) {
			news := make(chan string, 64)
			listen := &sdk.ClientOptions{
				LoggingMessageHandler: func(_ context.Context, r *sdk.LoggingMessageRequest) {
					news <- r.Params.Logger + " " + r.Params.Data.(string)
				},
				ResourceUpdatedHandler: func(_ context.Context, r *sdk.ResourceUpdatedNotificationRequest) { news <- r.Params.URI },
			}
			s := connect(t, h, path, listen)
			if err := s.SetLoggingLevel(t.Context(), &sdk.SetLoggingLevelParams{Level: "debug"}); err != nil {
				t.Fatal(err)
			}
			if err := s.Subscribe(t.Context(), &sdk.SubscribeParams{URI: "test://one"}); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				call(t, s, "tell", nil)
				for got := map[string]bool{}; !got["a told"] || !got["test://one"]; {
					select {
					case n := <-news:
						got[n] = true
					case <-time.After(time.Minute):
						t.Fatalf("only %v came", got)
					}
				}
				call(t, s, "die", nil)
				until(t, h, in("ready"))
			}
		})
	}
}
