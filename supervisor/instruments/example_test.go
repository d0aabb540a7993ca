package instruments_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sandtree/sandtree/backends"
	"github.com/sandtree/sandtree/backends/local"
	"github.com/sandtree/sandtree/supervisor"
	"github.com/sandtree/sandtree/supervisor/instruments"
)

// Show the metrics of a System at an address, and have its traces sent to a collector.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "st-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	driver, err := local.New(local.Config{StateDir: dir})
	if err != nil {
		log.Fatal(err)
	}
	traces, err := instruments.OpenTraces(instruments.TracesConfig{Endpoint: "http://localhost:4318"})
	if err != nil {
		log.Fatal(err)
	}
	defer traces.Close(ctx) // sends what waits
	system, err := supervisor.Open(ctx, supervisor.Config{StateDir: dir, Drivers: map[string]backends.Driver{"local": driver}, Tracer: traces.Tracer()})
	if err != nil {
		log.Fatal(err)
	}
	defer system.Close(ctx)
	registry := prometheus.NewRegistry()
	if err := instruments.Register(registry, system, traces, "v1.2.3"); err != nil {
		log.Fatal(err)
	}
	server, err := instruments.Serve("127.0.0.1:0", instruments.Shown{Metrics: registry, Healthy: system.Healthy})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close(ctx)
	answer, err := http.Get("http://" + server.Addr() + "/metrics")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil {
		log.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "sandtree_build_info") {
			fmt.Print(line)
		}
	}
	// Output: sandtree_build_info{version="v1.2.3"} 1
}
