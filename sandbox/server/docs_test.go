package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sandtree/sandtree/sandbox/wire"
)

func TestDocs(t *testing.T) {
	b := start(t, nil)
	for path, says := range map[string]string{"/docs": "<code>/execute_action</code>", "/redoc": "<code>/v1/ports</code>"} {
		if status, body := b.do("GET", path, ""); status != http.StatusOK || !strings.Contains(body, says) {
			t.Errorf("%s: %d %.300s; want %s", path, status, body, says)
		}
		if status, _ := b.do("GET", path, "", wire.HeaderKey, "wrong"); status != http.StatusForbidden {
			t.Errorf("%s without the key: %d", path, status)
		}
	}
}
