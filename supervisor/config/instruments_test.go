package config

import (
	"maps"
	"strings"
	"testing"
)

func TestHeaders(t *testing.T) {
	got, err := Traces{Headers: "authorization=Bearer a=b, x-team=blue,"}.HeaderMap()
	if want := map[string]string{"authorization": "Bearer a=b", "x-team": "blue"}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

// What is wrong is named, and what is secret is not shown.
func TestInstrumentsAreChecked(t *testing.T) {
	for setting, key := range map[string]string{
		"traces.endpoint=localhost:4318":       "traces.endpoint",
		"traces.endpoint=http://u:geheim@host": "traces.endpoint",
		"traces.headers=geheim":                "traces.headers",
		"traces.headers=a=geheim\x01":          "traces.headers",
		"traces.sample=0":                      "traces.sample",
		"traces.protocol=http/json":            "http/protobuf",
		"traces.sample=2":                      "traces.sample",
		"metrics.pprof=true":                   "metrics.pprof",
	} {
		name, value, _ := strings.Cut(setting, "=")
		_, err := Load(Sources{Dir: "/", Root: true, Env: []string{"XDG_CONFIG_HOME=/nowhere"}, Flag: []Setting{{name, value, "--set"}}})
		if err == nil || !strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", setting, err)
		}
	}
	l, err := Load(Sources{Dir: "/", Root: true, Flag: []Setting{
		{"traces.endpoint", "https://host:4318", "--set"}, {"traces.headers", "a=geheim", "--set"},
		{"metrics.address", "127.0.0.1:0", "--set"}, {"metrics.pprof", "true", "--set"},
	}})
	if err != nil || l.Traces.Sample != 1 || !l.Metrics.Pprof {
		t.Fatalf("%+v, %v", l, err)
	}
	for _, v := range l.Values {
		if v.Key == "traces.headers" && v.Value != masked {
			t.Errorf("the headers are shown: %v", v.Value)
		}
	}
}
