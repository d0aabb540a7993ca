package kit

import (
	"context"
	"testing"
)

func BenchmarkAsk(b *testing.B) {
	r, wait := Start(b.Context(), &puppet{name: "a", trace: &trace{}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Ask(context.Background(), r, func(r Reply[int]) order { return ask{r} }); err != nil {
			b.Fatal(err)
		}
	}
	r.Stop()
	_ = wait()
}

func BenchmarkTell(b *testing.B) {
	r, wait := Start(b.Context(), &puppet{name: "a", trace: &trace{}})
	b.ReportAllocs()
	for b.Loop() {
		r.Tell(nil)
	}
	_, _ = Ask(context.Background(), r, func(r Reply[int]) order { return ask{r} })
	r.Stop()
	_ = wait()
}

func BenchmarkTask(b *testing.B) {
	r, wait := Start(b.Context(), &puppet{name: "a", trace: &trace{}})
	done := make(chan struct{}, 1)
	b.ReportAllocs()
	for b.Loop() {
		r.Tell(work(func(context.Context) order { return visitAs(func(*Context[order]) { done <- struct{}{} }) }))
		<-done
	}
	r.Stop()
	_ = wait()
}
