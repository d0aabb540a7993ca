package result

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	b, err := json.Marshal(Report{Schema: Schema, Name: "quick"})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Read(strings.NewReader(string(b) + "\n")); err != nil || r.Name != "quick" {
		t.Error(r, err)
	}
	for in, want := range map[string]string{
		"": "no report", "{}": "no schema", `{"schema":99}`: "newer sandtree", "[1]": "no report", string(b) + "{}": "something follows", `{"schema":1,"name":5}`: "no report",
	} {
		if _, err := Read(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}
