package server_test

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/testing/need"
)

// viewing starts a server with a file viewer, and gives the viewer's address as it is written down.
func viewing(t *testing.T, change func(*server.Config)) (b *box, at string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "url")
	b = start(t, func(c *server.Config) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c.Viewer, c.ViewerFile = ln, file
		if change != nil {
			change(c)
		}
	})
	text, err := os.ReadFile(file)
	if err != nil || strings.HasSuffix(string(text), "/") || strings.ContainsAny(string(text), "\r\n") {
		t.Fatalf("%q, %v", text, err)
	}
	t.Cleanup(func() { // before the server's: it runs twice, which it may
		b.stop()
		if _, err := os.Stat(file); err == nil {
			t.Error("the address is left")
		}
	})
	return b, string(text)
}

// browse asks as a browser in the sandbox would; host is what it takes the viewer for, "" its own name.
func browse(t *testing.T, method, address, host string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		r.Host = host
	}
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body.String()
}

func TestFileViewer(t *testing.T) {
	b, at := viewing(t, nil)
	write := func(name string, content []byte) string {
		path := filepath.Join(b.dir, name)
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return "/view?path=" + url.QueryEscape(path)
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(b.dir, "pipe.png"), 0o644); err != nil {
		t.Fatal(err)
	}
	huge := write("huge.png", nil)
	if err := os.Truncate(filepath.Join(b.dir, "huge.png"), 1<<40); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return "/view?path=" + url.QueryEscape(filepath.Join(b.dir, name)) }
	for _, c := range []struct {
		method, path, host string
		status             int
		says               string
	}{
		{"GET", "/", "", 200, `{"status":"File viewer server is running"}`},
		{"GET", write("a.png", picture.Bytes()), "", 200, "<title>File Viewer - a.png</title>"},
		{"GET", write("b.JPEG", []byte("x")), "", 200, `<img alt="b.JPEG" src="data:image/jpeg;base64,eA==">`},
		{"GET", write("c.gif", []byte("x")), "", 200, "data:image/gif;base64,"},
		{"GET", write("d.jpg", []byte("x")), "", 200, "data:image/jpeg;base64,"},
		{"GET", write(`"><script>alert(1)<b>.png`, []byte("x")), "", 200, "&gt;&lt;script&gt;alert(1)"},
		{"GET", write("e.txt", []byte("x")), "", 500, "Unsupported file extension: .txt. Supported extensions are: .pdf, .png, .jpg, .jpeg, .gif"},
		{"GET", "/view?path=rel.png", "", 400, "Error: Path must be absolute"},
		{"GET", "/view?path=", "", 400, "Error: Path must be absolute"},
		{"GET", in("none.png"), "", 404, "Error: File not found"},
		{"GET", in("a.png/x.png"), "", 404, "Error: File not found"},
		{"GET", in("."), "", 400, "Error: Path is a directory"},
		{"GET", in("pipe.png"), "", 500, "no regular file"},
		{"GET", huge, "", 500, "no more than"},
		{"GET", "/view?path=/a%00b.png", "", 500, "Error viewing file"},
		{"GET", "/view", "", 422, `"loc":["query","path"]`},
		{"GET", "/none", "", 404, `{"detail":"Not Found"}`},
		{"POST", "/view", "", 405, `{"detail":"Method Not Allowed"}`},
		{"GET", in("a.png"), "evil.example", 403, "Access Denied"},
		{"GET", in("a.png"), "localhost:1", 403, "Access Denied"},
		{"GET", in("a.png"), "localhost.evil.example", 403, "Access Denied"},
		{"GET", in("a.png"), "127.0.0.1", 200, "File Viewer - a.png"},
		{"GET", in("a.png"), "LOCALHOST", 200, "File Viewer - a.png"},
	} {
		status, body := browse(t, c.method, at+c.path, c.host)
		if status != c.status || !strings.Contains(body, c.says) || strings.Contains(body, "<script>alert") {
			t.Errorf("%s %s of %q: %d %.300q; want %d %q", c.method, c.path, c.host, status, body, c.status, c.says)
		}
	}
}

// The viewer has no key, so it shows nothing that programs of the sandbox may not read.
func TestTheViewerReadsAsTheUser(t *testing.T) {
	need.Root(t)
	secret := filepath.Join(t.TempDir(), "secret.png")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for dir := filepath.Dir(secret); dir != "/"; dir = filepath.Dir(dir) {
		_ = os.Chmod(dir, 0o755)
	}
	const nobody = 65534
	b, at := viewing(t, func(c *server.Config) {
		c.User = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := os.MkdirAll(c.Dir, 0o777); err != nil {
			t.Fatal(err)
		}
		for dir := c.Dir; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
			_ = os.Chmod(dir, 0o755)
		}
	})
	_ = b
	if status, body := browse(t, "GET", at+"/view?path="+url.QueryEscape(secret), ""); status != 500 || !strings.Contains(body, "permission denied") {
		t.Errorf("%d %s", status, body)
	}
	if err := os.Chmod(secret, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if status, body := browse(t, "GET", at+"/view?path="+url.QueryEscape(secret), ""); status != 200 {
			t.Errorf("%d %s", status, body)
		}
	}
	if f, err := os.CreateTemp("/root", "x"); err == nil { // this process is still who it was
		f.Close()
		os.Remove(f.Name())
	} else {
		t.Error(err)
	}
}

const onePage = "%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
	"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"

// The pages of a document are drawn on canvases by pdftoppm, or a canvas says what to install.
func TestDocumentsAreDrawn(t *testing.T) {
	tools := t.TempDir()
	b, at := viewing(t, func(c *server.Config) {
		c.Env = append(c.Env[:0:0], "PATH="+tools+":/usr/bin:/bin", "HOME=/")
	})
	path := filepath.Join(b.dir, "a.pdf")
	if err := os.WriteFile(path, []byte(onePage), 0o644); err != nil {
		t.Fatal(err)
	}
	address := at + "/view?path=" + url.QueryEscape(path)
	if _, err := exec.LookPath("pdftoppm"); err != nil {
		status, body := browse(t, "GET", address, "")
		if status != 200 || strings.Count(body, `<canvas class="page"`) != 1 || !strings.Contains(body, "install poppler-utils") {
			t.Errorf("%d %s", status, body)
		}
	} else if status, body := browse(t, "GET", address, ""); status != 200 || strings.Count(body, `data-page="data:image/png`) != 1 {
		t.Errorf("%d %.500s", status, body)
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 30, 20))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tools, "page"), picture.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]string{
		`cat >/dev/null; cat "` + tools + `/page" "` + tools + `/page"`: `width="30" height="20"`,
		`cat >/dev/null; exit 3`:           "pdftoppm cannot draw it: it ended with code 3",
		`cat "` + tools + `/page"; exit 2`: "Not all was drawn: it ended with code 2",
		`sleep 1000 & echo nonsense`:       "cannot draw it",
	} {
		if strings.Contains(script, "sleep") {
			continue // it would take its whole time
		}
		if err := os.WriteFile(filepath.Join(tools, "pdftoppm"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, body := browse(t, "GET", address, ""); !strings.Contains(body, want) {
			t.Errorf("%s: %.800s; want %q", script, body, want)
		}
	}
}

// A page of the viewer is one that Chromium's accessibility tree has a canvas of.
func TestABrowserSeesTheCanvas(t *testing.T) {
	chromium := need.Tool(t, "chromium")
	b, at := viewing(t, nil)
	path := filepath.Join(b.dir, "a.pdf")
	if err := os.WriteFile(path, []byte(onePage), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
		"--virtual-time-budget=3000", "--dump-dom", at+"/view?path="+url.QueryEscape(path)).Output()
	if err != nil || !strings.Contains(string(out), `<canvas class="page"`) || !strings.Contains(string(out), "File Viewer - a.pdf") {
		t.Errorf("%v: %.600s", err, out)
	}
}

func FuzzViewerQuery(f *testing.F) {
	for _, q := range []string{"path=/etc/hostname", "path=/a.png", "path=", "", "path=%zz", "path=/%00.png", "path=/../../x.gif&path=/b.png"} {
		f.Add(q)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	at := "http://" + ln.Addr().String()
	b := start(f, func(c *server.Config) { c.Viewer = ln })
	f.Fuzz(func(t *testing.T, query string) {
		if len(query) > 1<<10 {
			return // more than a head may have is refused unread, and the refusal may be lost with the connection
		}
		conn, err := net.Dial("tcp", strings.TrimPrefix(at, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		// As it is, for a URL of package url would have it escaped.
		line := strings.Map(func(r rune) rune {
			if r <= ' ' || r == 0x7f {
				return '+'
			}
			return r
		}, query)
		if len(line) > 3<<10 {
			t.Skip("a head beyond 4 KiB is refused before it is read whole, and the refusal may be lost with the connection")
		}
		if _, err := conn.Write([]byte("GET /view?" + line + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		var answer bytes.Buffer
		if _, err := answer.ReadFrom(conn); err != nil {
			t.Fatal(err)
		}
		head, body, ok := strings.Cut(answer.String(), "\r\n\r\n")
		if !ok || !strings.HasPrefix(head, "HTTP/1.1 ") {
			t.Fatalf("%q: %q", query, answer.String())
		}
		if strings.HasPrefix(head, "HTTP/1.1 422") && !json.Valid([]byte(body)) || strings.Contains(strings.ToLower(body), "<script>") && !strings.Contains(body, "canvas.page") {
			t.Errorf("%q: %q", query, body)
		}
	})
	_ = b
}
