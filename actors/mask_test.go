package actors

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestWhatIsSecret(t *testing.T) {
	for variable, want := range map[string]bool{
		"API_KEY=abc123": true, "api_token=hunter2": true, "DB_PASSWORD=x": true, "DATABASE_URL=postgres://u:p@h/d": true, "WHATEVER=longer-than-seven": true,
		"LANG=en_US.UTF-8": false, "LC_ALL=en_US.UTF-8": false, "PATH=/usr/local/bin:/usr/bin": false, "HOME=/home/openhands": false, "TERM=xterm-256color": false,
		"PYTHONPATH=/workspace/src": false, "JAVA_HOME=/usr/lib/jvm/17": false, "MODE=staging": false, "SECRET_PATH=/run/secrets/x": true,
	} {
		name, value, _ := strings.Cut(variable, "=")
		if got := len(secretsOf(map[string]string{name: value})) == 1; got != want {
			t.Errorf("%s: secret is %v", variable, got)
		}
	}
}

func TestMask(t *testing.T) {
	m := newMasker([]string{"hunter2", "line one of it\nline two of it", `quo"ted'value`, "1", "", "hunter2-long"})
	for in, want := range map[string]string{
		`{"args":{"command":"echo hunter2"}}`:                                        `{"args":{"command":"echo <secret_hidden>"}}`,
		`{"args":{"list":["x",{"y":["hunter2"]}]}}`:                                  `{"args":{"list":["x",{"y":["<secret_hidden>"]}]}}`,
		`{"content":"hunter2-long hunter2"}`:                                         `{"content":"<secret_hidden> <secret_hidden>"}`,
		`{"content":"line one of it\r\nline two of it"}`:                             `{"content":"<secret_hidden>\r\n<secret_hidden>"}`,
		`{"content":"quo\"ted'value"}`:                                               `{"content":"<secret_hidden>"}`,
		`{"content":"echo 'quo\"ted'\\''value'"}`:                                    `{"content":"echo '<secret_hidden>'"}`,
		`{"tool":{"arguments":"{\"a\":\"quo\\\"ted'value\"}"}}`:                      `{"tool":{"arguments":"{\"a\":\"<secret_hidden>\"}"}}`,
		`{"id":1,"source":"hunter2","action":"hunter2","args":{"action":"hunter2"}}`: `{"id":1,"source":"hunter2","action":"hunter2","args":{"action":"<secret_hidden>"}}`,
		`{"hunter2" : "x", "n": 1e3, "t": true}`:                                     `{"hunter2" : "x", "n": 1e3, "t": true}`,
		`{"content":"<b>&\u00e9 1"}`:                                                 `{"content":"<b>&\u00e9 1"}`,
	} {
		if got := string(m.event([]byte(in))); got != want {
			t.Errorf("%s\n gives %s\n want  %s", in, got, want)
		}
	}
	if got := (masker{}).event([]byte(`{"a":"b"}`)); string(got) != `{"a":"b"}` {
		t.Errorf("no secrets: %s", got)
	}
}

func FuzzMask(f *testing.F) {
	f.Add(`{"a":"secret"}`, "secret")
	f.Add(`["\\`, "secret")
	f.Add(`"`, "secret")
	f.Fuzz(func(t *testing.T, event, secret string) {
		out := newMasker([]string{secret}).event([]byte(event))
		if !json.Valid([]byte(event)) {
			return // it need only not panic
		}
		if !json.Valid(out) {
			t.Errorf("%q gives %q, which is no JSON", event, out)
		}
		var v any
		if len(secret) >= shortestSecret && !strings.Contains(hidden, secret) && json.Unmarshal(out, &v) == nil {
			if s, ok := v.(string); ok && strings.Contains(strings.ReplaceAll(s, hidden, ""), secret) {
				t.Errorf("%q is left in %q", secret, s)
			}
		}
	})
}
