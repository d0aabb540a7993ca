package server_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox/server"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// The pairs of request and answer that were recorded with the original, byte for byte but for the figures of the machine.
func TestOpenHandsAnswers(t *testing.T) {
	b := start(t, nil)
	b.write("t.txt", "This is a test file.\nThis file is for testing purposes.")
	for _, c := range []struct{ event, want string }{
		{`{"action":"run","args":{"command":"echo hi"},"id":7,"timestamp":"2020-01-01T00:00:00","source":"agent","cause":3,"timeout":10}`,
			"{\"message\":\"Command `echo hi` executed with exit code 0.\",\"observation\":\"run\",\"content\":\"hi\"," +
				`"extras":{"command":"echo hi","metadata":{"exit_code":0,"pid":-1,"username":"USER","hostname":"HOST","working_dir":"DIR",` +
				`"py_interpreter_path":"PYTHON","prefix":"","suffix":"\n[The command completed with exit code 0.]"},"hidden":false},"success":true}`},
		{`{"action":"read","args":{"path":"nope.txt"}}`,
			`{"message":"File not found: DIR/nope.txt. Your current working directory is DIR.","observation":"error",` +
				`"content":"File not found: DIR/nope.txt. Your current working directory is DIR.","extras":{"error_id":""}}`},
		{`{"action":"write","args":{"path":"hello.sh","content":"echo \"Hello, World!\""}}`,
			`{"message":"I wrote to the file DIR/hello.sh.","observation":"write","content":"","extras":{"path":"DIR/hello.sh"}}`},
		{`{"action":"edit","args":{"command":"str_replace","path":"DIR/t.txt","old_str":"test file","new_str":"sample file"}}`,
			`{"message":"I edited the file DIR/t.txt.","observation":"edit",` +
				`"content":"The file DIR/t.txt has been edited. Here's the result of running ` + "`cat -n`" + ` on a snippet of DIR/t.txt:\n     1\tThis is a sample file.\n     2\tThis file is for testing purposes.\nReview the changes and make sure they are as expected. Edit the file again if necessary.",` +
				`"extras":{"path":"DIR/t.txt","prev_exist":false,"old_content":"test file","new_content":"sample file","impl_source":"oh_aci",` +
				`"diff":"--- DIR/t.txt\n+++ DIR/t.txt\n@@ -1 +1 @@\n-This is a test file.\n+This is a sample file.","_diff_cache":null}}`},
		{`{"action":"browse","args":{"url":"http://x"}}`,
			`{"message":"Browser functionality is not supported or disabled.","observation":"error",` +
				`"content":"Browser functionality is not supported or disabled.","extras":{"error_id":""}}`},
		{`{"action":"run","args":{"command":"echo a\necho b"}}`,
			`{"message":"ERROR: Cannot execute multiple commands at once.\nPlease run each command separately OR chain them into a single command via && or ;\nProvided commands:\n(1) echo a\n(2) echo b","observation":"error",` +
				`"content":"ERROR: Cannot execute multiple commands at once.\nPlease run each command separately OR chain them into a single command via && or ;\nProvided commands:\n(1) echo a\n(2) echo b","extras":{"error_id":""}}`},
	} {
		status, got := b.execute(strings.ReplaceAll(c.event, "DIR", b.dir))
		got = strings.ReplaceAll(got, b.dir, "DIR")
		for field, word := range map[string]string{"username": "USER", "hostname": "HOST", "py_interpreter_path": "PYTHON"} {
			got = regexp.MustCompile(`"`+field+`":("[^"]*"|null)`).ReplaceAllString(got, `"`+field+`":"`+word+`"`)
		}
		if status != http.StatusOK || got != c.want {
			t.Errorf("%s: status %d\n got %s\nwant %s", c.event, status, got, c.want)
		}
	}
}

func TestOpenHandsErrors(t *testing.T) {
	b := start(t, nil)
	for _, c := range []struct {
		body   string
		status int
		detail string // a regular expression
	}{
		{`{"action":{}}`, 500, `^Internal server error: Unknown event type: \{\}$`},
		{`{"action":{"action":"fly"}}`, 500, `^Internal server error: .*fly.*`},
		{`{"action":{"action":"run","args":{"wings":2}}}`, 500, `^Internal server error: action=\{.*\} has the wrong arguments: `},
		{`{"action":{"observation":"run","content":""}}`, 500, `^Internal server error: 400: Invalid action type$`},
		{`{"action":{"action":"think","args":{"thought":"hm"}}}`, 500, `^Internal server error: 'ActionExecutor' object has no attribute 'think'$`},
		{`{"action":{"action":"null"}}`, 500, `^Internal server error: 'ActionExecutor' object has no attribute 'null'$`},
		{`{"action":{"action":"call_tool_mcp","args":{"name":"x"}}}`, 500, `^Internal server error: 'ActionExecutor' object has no attribute 'call_tool_mcp'$`},
		{`{"action":{"action":"run","args":{"command":"ls"},"source":"moon"}}`, 500, `^Internal server error: 'moon' is not a valid EventSource$`},
		{`{"action":{"action":"run_ipython","args":{"code":"1"}}}`, 500, `^Internal server error: JupyterRequirement not found\. Unable to run IPython action\.$`},
		{`{"action":{"action":"edit","args":{"path":"/x","impl_source":"llm_based_edit"}}}`, 500, `^Internal server error: $`},
		{`{"action":3}`, 422, `^Invalid request parameters$`},
		{`{}`, 422, `^Invalid request parameters$`},
		{`{"Action":{"action":"run","args":{"command":"ls"}}}`, 422, `^Invalid request parameters$`},
		{`[]`, 422, `^Invalid request parameters$`},
		{`{"action":`, 422, `^Invalid request parameters$`},
		{"{\"action\":\"\xff\"}", 400, `^There was an error parsing the body$`},
	} {
		status, got := b.do("POST", "/execute_action", c.body)
		if status != c.status || !regexp.MustCompile(c.detail).MatchString(detailOf(t, got)) {
			t.Errorf("%s: %d %s; want %d %s", c.body, status, got, c.status, c.detail)
		}
	}
	for _, c := range []struct {
		method, path string
		status       int
		detail       string
	}{
		{"GET", "/none", 404, "Not Found"},
		{"GET", "/execute_action", 405, "Method Not Allowed"},
		{"POST", "/alive", 405, "Method Not Allowed"},
		{"GET", "/download_files", 422, "Invalid request parameters"},
		{"GET", "/download_files?path=relative", 500, "400: Path must be an absolute path"},
		{"GET", "/download_files?path=/none/such", 500, "404: File not found"},
		{"POST", "/upload_file?destination=/tmp", 422, "Invalid request parameters"},
		{"POST", "/upload_file?recursive=perhaps", 422, "Invalid request parameters"},
		{"POST", "/list_files", 500, "An unexpected error occurred. Please try again later."},
		{"POST", "/update_mcp_server", 500, "An unexpected error occurred. Please try again later."},
	} {
		if status, got := b.do(c.method, c.path, ""); status != c.status || detailOf(t, got) != c.detail {
			t.Errorf("%s %s: %d %s; want %d %s", c.method, c.path, status, got, c.status, c.detail)
		}
	}
}

func detailOf(t *testing.T, body string) string {
	t.Helper()
	var answer struct{ Detail string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Errorf("%v: %s", err, body)
	}
	return answer.Detail
}

func TestTheKeyIsAskedForBeforeAnythingElse(t *testing.T) {
	b := start(t, nil)
	for _, path := range []string{"/execute_action", "/none", "/docs", "/list_files", "/upload_file", "/vscode/connection_token"} {
		for _, wrong := range []string{"", "wrong", key + "x", key[:len(key)-1]} {
			status, got := b.do("POST", path, "", wire.HeaderKey, wrong)
			if status != http.StatusForbidden || got != `{"detail":"Invalid API Key"}` {
				t.Errorf("%s with %q: %d %s", path, wrong, status, got)
			}
		}
	}
	for _, path := range []string{"/alive", "/server_info"} {
		if status, got := b.do("GET", path, "", wire.HeaderKey, ""); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, got)
		}
	}
	open := start(t, func(c *server.Config) { c.Key = "" })
	if status, got := open.do("POST", "/list_files", "{}", wire.HeaderKey, ""); status != http.StatusOK {
		t.Errorf("without a key: %d %s", status, got)
	}
}

func TestServerInfo(t *testing.T) {
	b := start(t, nil)
	time.Sleep(20 * time.Millisecond)
	if status, _ := b.execute(`{"action":"run","args":{"command":"true"}}`); status != http.StatusOK {
		t.Fatal(status)
	}
	_, got := b.do("GET", "/server_info", "")
	var info struct {
		Uptime    float64 `json:"uptime"`
		IdleTime  float64 `json:"idle_time"`
		Resources struct {
			CPU    float64 `json:"cpu_percent"`
			Memory struct{ RSS, VMS, Percent float64 }
			Disk   struct{ Total, Used, Free, Percent float64 }
			IO     map[string]float64
		}
	}
	if err := json.Unmarshal([]byte(got), &info); err != nil {
		t.Fatal(err)
	}
	r := info.Resources
	if info.Uptime < 0.02 || info.IdleTime >= info.Uptime || r.Memory.RSS < 1<<20 || r.Memory.VMS < r.Memory.RSS || r.Memory.Percent <= 0 ||
		r.Disk.Total < r.Disk.Used || r.Disk.Percent <= 0 || r.Disk.Percent > 100 || len(r.IO) != 2 || r.CPU < 0 {
		t.Errorf("%s", got)
	}
	for _, field := range []string{"uptime", "idle_time", "cpu_percent", "percent"} { // floats to Python
		if !regexp.MustCompile(`"` + field + `":[0-9]+\.[0-9]+`).MatchString(got) {
			t.Errorf("%s is no float: %s", field, got)
		}
	}
	for _, field := range []string{"rss", "vms", "total", "used", "free", "read_bytes", "write_bytes"} {
		if !regexp.MustCompile(`"` + field + `":[0-9]+[,}]`).MatchString(got) {
			t.Errorf("%s is no integer: %s", field, got)
		}
	}
}

// A client that connects with its plugins and environment, as its base class does, must come through.
func TestTheConnectSequence(t *testing.T) {
	b := start(t, func(c *server.Config) { c.Plugins = []string{"agent_skills", "jupyter", "vscode"} })
	for _, event := range []string{
		`{"action":"run_ipython","args":{"code":"import os\nos.environ[\"A\"] = \"b c\"\n\n"}}`,
		`{"action":"run","args":{"command":"export A=\"b c\";"}}`,
		`{"action":"run","args":{"command":"touch ~/.bashrc; grep -q \"^export A=\" ~/.bashrc || echo \"export A=\"b c\"\" >> ~/.bashrc;"}}`,
	} {
		status, got := b.execute(event)
		if status != http.StatusOK || !strings.Contains(got, `"success":true`) {
			t.Errorf("%s: %d %s", event, status, got)
		}
	}
	if _, got := b.execute(`{"action":"run","args":{"command":"echo $A"}}`); !strings.Contains(got, `"content":"b c"`) {
		t.Error(got)
	}
	if status, got := b.do("GET", "/vscode/connection_token", ""); status != http.StatusOK || got != `{"token":null}` {
		t.Errorf("%d %s", status, got)
	}
	if status, got := b.do("POST", "/update_mcp_server", "[]"); status != http.StatusOK || !strings.Contains(got, `"router_error_log":""`) {
		t.Errorf("%d %s", status, got)
	}
	if status, got := b.do("POST", "/update_mcp_server", "{}"); status != http.StatusBadRequest || detailOf(t, got) != "Request must be a list of MCP tools to sync" {
		t.Errorf("%d %s", status, got)
	}
	if status, got := b.do("POST", "/update_mcp_server", `[{"name":"x"}]`); status != http.StatusInternalServerError || detailOf(t, got) != "An unexpected error occurred. Please try again later." {
		t.Errorf("%d %s", status, got)
	}
}

// A static command waits for its turn like any other action, and so does a file; what is no action does not.
// Actions of one lane take turns in the order they came; the main shell's do not hold up others.
func TestActionsTakeTurnsInTheirLane(t *testing.T) {
	b := start(t, nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		b.execute(`{"action":"run","args":{"command":"touch begun; while ! [ -e go ]; do sleep 0.01; done; echo x >>order","blocking":true}}`)
	})
	b.await("begun")
	wg.Go(func() {
		if _, got := b.execute(`{"action":"run","args":{"command":"echo y >>order"}}`); !strings.Contains(got, `"exit_code":0`) {
			t.Error(got)
		}
	})
	for _, event := range []string{`{"action":"run","args":{"command":"cat begun order","is_static":true}}`, `{"action":"read","args":{"path":"order"}}`,
		`{"action":"write","args":{"path":"beside","content":"z"}}`} {
		if status, got := b.execute(event); status != http.StatusOK || strings.Contains(got, `"content":"x`) {
			t.Errorf("%s: %d %s", event, status, got)
		}
	}
	for path, body := range map[string]string{"/list_files": "{}", "/update_mcp_server": "[]"} {
		if status, got := b.do("POST", path, body); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, got)
		}
	}
	b.write("go", "")
	wg.Wait()
	if got := b.read("order"); got != "x\ny\n" {
		t.Errorf("the order was %q", got)
	}
}

func TestListUploadDownload(t *testing.T) {
	b := start(t, nil)
	upload := func(query, name string, content []byte) (int, string) {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		if w, err := form.CreateFormField("other"); err != nil {
			t.Fatal(err)
		} else if _, err := io.WriteString(w, "ignored"); err != nil {
			t.Fatal(err)
		}
		w, err := form.CreateFormFile("file", name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		form.Close()
		r := b.request("POST", "/upload_file?"+query, "")
		r.Body, r.ContentLength = io.NopCloser(&body), int64(body.Len())
		r.Header.Set("Content-Type", form.FormDataContentType())
		return b.send(r)
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MB
	if status, got := upload("destination="+b.dir+"/up&recursive=False", "f.bin", large); status != 200 ||
		got != `{"filename":"f.bin","destination":"`+b.dir+`/up","recursive":false,"success":true}` {
		t.Errorf("%d %s", status, got)
	}
	if b.read("up/f.bin") != string(large) {
		t.Error("another content")
	}
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	w, err := z.Create("src/a.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, "a")
	z.Close()
	if status, got := upload("destination="+b.dir+"/up&recursive=true", "src.zip", archive.Bytes()); status != 200 {
		t.Errorf("%d %s", status, got)
	}
	if status, got := upload("destination="+b.dir+"/up&recursive=true", "src.tar", archive.Bytes()); status != 500 ||
		detailOf(t, got) != "400: Recursive uploads must be zip files" {
		t.Errorf("%d %s", status, got)
	}
	if status, got := upload("destination=up", "f", nil); status != 500 || detailOf(t, got) != "400: Destination must be an absolute path" {
		t.Errorf("%d %s", status, got)
	}
	if status, got := b.do("POST", "/list_files", `{"path":"up"}`); status != 200 || got != `["src/","f.bin"]` {
		t.Errorf("%d %s", status, got)
	}
	status, got := b.do("GET", "/download_files?path="+b.dir+"/up", "")
	r, err := zip.NewReader(strings.NewReader(got), int64(len(got)))
	if status != 200 || err != nil || len(r.File) != 2 {
		t.Errorf("%d, %v, %d bytes", status, err, len(got))
	}
}

// The native file requests stay below the working directory.
func TestNativeFilesAreConfined(t *testing.T) {
	b := start(t, nil)
	b.native("a", run("ln -s /etc out; ln -s /etc/passwd link; mkdir sub; echo hi >sub/f")).wantRun(t, 0, "")
	for _, path := range []string{"../../etc/shadow", "/etc/shadow", "out/shadow", "link", "sub/../../x", "..%2F..%2Fetc%2Fshadow", "/proc/self/environ"} {
		for _, r := range []*http.Request{
			b.request("GET", wire.PathFiles+"?path="+path, ""),
			b.request("PUT", wire.PathFiles+"?path="+path, "bad"),
			b.request("GET", wire.PathTree+"?path="+path, ""),
			b.request("PUT", wire.PathTree+"?path="+path, ""),
			b.request("GET", wire.PathList+"?path="+path, ""),
		} {
			if status, got := b.send(r); status < 400 || status >= 500 {
				t.Errorf("%s %s: %d %.100s", r.Method, r.URL, status, got)
			}
		}
	}
	if status, got := b.do("GET", wire.PathFiles+"?path=sub/f", ""); status != 200 || got != "hi\n" {
		t.Errorf("%d %s", status, got)
	}
	if status, got := b.do("PUT", wire.PathFiles+"?path=new/x.sh&mode=755", "#!/bin/sh\necho ran\n"); status != http.StatusNoContent {
		t.Errorf("%d %s", status, got)
	}
	b.native("b", run("new/x.sh")).wantRun(t, 0, "ran")
	if status, got := b.do("GET", wire.PathList+"?path=sub", ""); status != 200 || got != `["f"]` {
		t.Errorf("%d %s", status, got)
	}
	status, tree := b.do("GET", wire.PathTree+"?path=sub", "")
	if status != 200 {
		t.Errorf("%d %s", status, tree)
	}
	if status, got := b.do("PUT", wire.PathTree+"?path=copy", tree); status != http.StatusNoContent || b.read("copy/f") != "hi\n" {
		t.Errorf("%d %s", status, got)
	}
	if status, got := b.do("GET", wire.PathTree+"?path=none", ""); status != http.StatusNotFound {
		t.Errorf("%d %s", status, got)
	}
}

// A body that is cut short must not become a file.
func TestAnUploadThatIsCutChangesNothing(t *testing.T) {
	b := start(t, nil)
	b.write("f", "old")
	r := b.request("PUT", wire.PathFiles+"?path=f", "")
	read, write := io.Pipe()
	r.Body, r.ContentLength = read, 1<<20
	go func() {
		_, _ = write.Write(make([]byte, 100<<10))
		write.CloseWithError(io.ErrUnexpectedEOF)
	}()
	if _, err := b.client.Do(r); err == nil {
		t.Error("it went through")
	}
	if status, _ := b.do("GET", "/alive", ""); status != 200 {
		t.Error("not alive")
	}
	if got := b.read("f"); got != "old" {
		t.Errorf("the file has %d bytes", len(got))
	}
	left, err := os.ReadDir(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if e.Name() != "f" && !strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s is left", filepath.Join(b.dir, e.Name()))
		}
	}
}
