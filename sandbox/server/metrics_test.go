package server_test

import (
	"encoding/json"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// figures reads the server's figures as Prometheus does.
func (b *box) figures() map[string]*dto.MetricFamily {
	b.t.Helper()
	status, text := b.do("GET", wire.PathMetrics, "")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if status != http.StatusOK || err != nil {
		b.t.Fatalf("%d, %v\n%s", status, err, text)
	}
	return families
}

// value is that of the one with these labels; NaN if there is none.
func value(f *dto.MetricFamily, labels ...string) float64 {
	for _, m := range f.GetMetric() {
		fits := 0
		for i := 0; i < len(labels); i += 2 {
			for _, l := range m.Label {
				if l.GetName() == labels[i] && l.GetValue() == labels[i+1] {
					fits += 2
				}
			}
		}
		if fits == len(labels) {
			switch {
			case m.Counter != nil:
				return m.Counter.GetValue()
			case m.Histogram != nil:
				return float64(m.Histogram.GetSampleCount())
			}
			return m.Gauge.GetValue()
		}
	}
	return math.NaN()
}

func TestFigures(t *testing.T) {
	b := start(t, func(c *server.Config) { c.Version = `v1 "x"\` })
	b.native("a", run("echo hello"))
	b.native("b", run("exit_with() { return 3; }; exit_with"))
	b.execute(`{"action":"run","args":{"command":"true"}}`)
	b.execute(`{"action":"read","args":{"path":"/no/such"}}`)
	f := b.figures()
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"sandboxd_actions_total", []string{"kind", "run", "outcome", "done"}, 2},
		{"sandboxd_actions_total", []string{"kind", "run", "outcome", "failed"}, 1},
		{"sandboxd_actions_total", []string{"kind", "read", "outcome", "failed"}, 1},
		{"sandboxd_action_duration_seconds", []string{"kind", "run"}, 3},
		{"sandboxd_running_actions", nil, 0},
		{"sandboxd_waiting_actions", nil, 0},
		{"sandboxd_ledger_entries", nil, 2},
		{"sandboxd_build_info", []string{"version", `v1 "x"\`}, 1},
		{"sandboxd_sessions", nil, 1},
	} {
		if got := value(f[c.name], c.labels...); got != c.want {
			t.Errorf("%s%q: %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	for _, name := range []string{"sandboxd_uptime_seconds", "sandboxd_idle_seconds", "sandboxd_output_bytes_total", "sandboxd_processes",
		"sandboxd_connections", "sandboxd_resident_memory_bytes", "sandboxd_cpu_seconds_total", "sandboxd_descriptors", "sandboxd_goroutines",
		"sandboxd_disk_free_bytes", "sandboxd_disk_total_bytes"} {
		if got := value(f[name]); !(got > 0) {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name, family := range f {
		counter := family.GetType() == dto.MetricType_COUNTER
		if !strings.HasPrefix(name, "sandboxd_") || family.GetHelp() == "" || counter != strings.HasSuffix(name, "_total") {
			t.Errorf("%s: %v", name, family)
		}
	}
	if status, _ := b.do("GET", wire.PathMetrics, "", wire.HeaderKey, ""); status != http.StatusForbidden {
		t.Errorf("without the key: %d", status)
	}
}

func TestWhileAnActionRuns(t *testing.T) {
	b := start(t, nil)
	b.native("make", run("mkfifo fifo"))
	done := make(chan seen)
	go func() { done <- b.native("long", run("read x < fifo; echo $x")) }()
	for f := b.figures(); value(f["sandboxd_running_actions"]) != 1; f = b.figures() {
	}
	if f := b.figures(); value(f["sandboxd_idle_seconds"]) != 0 {
		t.Error("idle while an action runs")
	}
	if err := os.WriteFile(b.dir+"/fifo", []byte("x\n"), 0); err != nil {
		t.Fatal(err)
	}
	<-done
}

func TestInfo(t *testing.T) {
	b := start(t, func(c *server.Config) { c.Plugins = []string{"vscode"}; c.VSCode.Off = "no port" })
	b.native("a", run("true"))
	status, body := b.do("GET", wire.PathInfo, "")
	var info wire.Info
	if err := json.Unmarshal([]byte(body), &info); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s, %v", status, body, err)
	}
	if info.Version != wire.Version || info.Oldest != wire.OldestVersion || info.Server != "sandboxd dev" || info.Uptime <= 0 ||
		info.Idle <= 0 || info.Idle > info.Uptime || info.Workspace != b.dir || info.User == "" || info.Started.IsZero() ||
		info.Disk.Free == 0 || info.Limits.Waiting == 0 || len(info.Resources) == 0 {
		t.Errorf("%+v", info)
	}
	if want := (wire.Plugin{Name: "vscode", State: "off", Error: "no port"}); len(info.Plugins) != 1 || info.Plugins[0] != want {
		t.Errorf("%+v, want %+v", info.Plugins, want)
	}
	if status, body := b.do("GET", "/vscode/connection_token", ""); status != http.StatusOK || body != `{"token":null}` {
		t.Errorf("%d %s", status, body)
	}
}
