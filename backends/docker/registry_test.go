package docker

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// registryServer is a registry on the loopback, where engines need no TLS, with one image: the skeleton that containers need
// which see the host's programs.
type registryServer struct {
	server         *httptest.Server
	user, password string
	manifest       []byte
	blobs          map[string][]byte
	manifests      atomic.Int32 // requests of the manifest by its tag that were answered
}

const (
	manifestType = "application/vnd.docker.distribution.manifest.v2+json"
	configType   = "application/vnd.docker.container.image.v1+json"
	layerType    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

func newRegistry(t *testing.T, user, password string) *registryServer {
	t.Helper()
	r := &registryServer{user: user, password: password, blobs: map[string][]byte{}}
	layer, diff := skeleton(t)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Env": []string{"PATH=/usr/bin:/bin", "FROM_IMAGE=yes"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{diff}},
	})
	if err != nil {
		t.Fatal(err)
	}
	descriptor := func(kind string, b []byte) map[string]any {
		d := digest(b)
		r.blobs[d] = b
		return map[string]any{"mediaType": kind, "size": len(b), "digest": d}
	}
	r.manifest, err = json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": descriptor(configType, config), "layers": []any{descriptor(layerType, layer)},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

func (r *registryServer) host() string { return strings.TrimPrefix(r.server.URL, "http://") }

// Image is the name of the image.
func (r *registryServer) Image() string { return r.host() + "/skeleton:latest" }

func (r *registryServer) auth() map[string]Auth {
	return map[string]Auth{r.host(): {Username: r.user, Password: r.password}}
}

func (r *registryServer) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if user, password, _ := q.BasicAuth(); user != r.user || password != r.password {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if q.URL.Path == "/v2/" {
		return
	}
	rest, ok := strings.CutPrefix(q.URL.Path, "/v2/skeleton/")
	kind, name, _ := strings.Cut(rest, "/")
	b, kindOf := r.blobs[name], "application/octet-stream"
	if kind == "manifests" && (name == "latest" || name == digest(r.manifest)) {
		b, kindOf = r.manifest, manifestType
		if name == "latest" {
			r.manifests.Add(1)
		}
	}
	if !ok || b == nil {
		w.WriteHeader(http.StatusNotFound)
		w.Write([]byte(`{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}`))
		return
	}
	w.Header().Set("Content-Type", kindOf)
	w.Header().Set("Docker-Content-Digest", digest(b))
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	if q.Method != http.MethodHead {
		w.Write(b)
	}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// skeleton gives a layer with the links by which a root finds its programs in /usr, compressed, and the digest of what is in it.
func skeleton(t *testing.T) (layer []byte, diff string) {
	t.Helper()
	var plain, packed bytes.Buffer
	w := tar.NewWriter(&plain)
	add := func(h tar.Header) {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		if target, err := os.Readlink("/" + dir); err == nil {
			add(tar.Header{Typeflag: tar.TypeSymlink, Name: dir, Linkname: target, Mode: 0o777})
		}
	}
	add(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(plain.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes(), digest(plain.Bytes())
}
