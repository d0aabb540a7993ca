package runtimetest

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/wire"
)

// A Client is a sandbox.Runtime over the OpenHands form of the protocol, as OpenHands' own client speaks it: it posts
// events, waits for the action's timeout and five seconds more, and is as strict about answers.
type Client struct {
	HTTP *http.Client
	Base string // "http://host:port"
	Key  string
	Dir  string // the workspace, for relative paths of files
}

// NewClient makes a client of the server that dial reaches. CloseIdleConnections of its HTTP ends it.
func NewClient(dial func(context.Context) (net.Conn, error), key string) *Client {
	return &Client{Base: "http://sandbox", Key: key, HTTP: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}}
}

// An HTTPError is an answer other than 2xx.
type HTTPError struct {
	Status int
	Detail string
}

func (e *HTTPError) Error() string { return fmt.Sprintf("status %d: %s", e.Status, e.Detail) }

// send sends one request. The caller closes the body of the answer, which may be any.
func (c *Client) send(ctx context.Context, method, target, contentType string, body io.Reader) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.Base+target, body)
	if err != nil {
		return nil, err
	}
	if c.Key != "" {
		r.Header.Set("X-Session-API-Key", c.Key)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return c.HTTP.Do(r)
}

// ask sends one request and gives the body of a success.
func (c *Client) ask(ctx context.Context, method, target, contentType string, body io.Reader) ([]byte, error) {
	r, err := c.send(ctx, method, target, contentType, body)
	if err != nil {
		return nil, &sandbox.Error{Code: sandbox.Unavailable, Op: target, Err: err}
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode >= 300 {
		var d struct{ Detail string }
		_ = json.Unmarshal(b, &d) // what is no such object has no detail
		return nil, &sandbox.Error{Code: sandbox.Invalid, Op: target, Err: &HTTPError{r.StatusCode, d.Detail}}
	}
	return b, err
}

// Do implements sandbox.Runtime. There is no output before the end, and no second chance.
func (c *Client) Do(ctx context.Context, a sandbox.Action, out sandbox.Output) (sandbox.Observation, error) {
	if a.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.Timeout+5*time.Second)
		defer cancel()
	}
	body := append(wire.AppendAction([]byte(`{"action":`), a), '}')
	b, err := c.ask(ctx, http.MethodPost, "/execute_action", "application/json", bytes.NewReader(body))
	if err != nil {
		return sandbox.Observation{}, err
	}
	if err := decodable(b, a); err != nil {
		return sandbox.Observation{}, &sandbox.Error{Code: sandbox.Internal, Op: "/execute_action", Err: fmt.Errorf("OpenHands' client cannot decode this: %w: %.300s", err, b)}
	}
	o, err := wire.ParseObservation(b)
	if err == nil && out != nil && o.Content != "" {
		out(0, []byte(o.Content))
	}
	return o, err
}

// known are the extras of each observation: the required ones first, until "".
var known = map[sandbox.Kind][]string{
	"run":         {"command", "", "metadata", "hidden"},
	"run_ipython": {"code", "", "image_urls"},
	"read":        {"path", "", "impl_source"},
	"write":       {"path", ""},
	"edit":        {"", "path", "prev_exist", "old_content", "new_content", "impl_source", "diff", "_diff_cache"},
	"browse": {"url", "trigger_by_action", "", "screenshot", "screenshot_path", "set_of_marks", "error", "goal_image_urls", "open_pages_urls",
		"active_page_index", "dom_object", "axtree_object", "extra_element_properties", "last_browser_action", "last_browser_action_error",
		"focused_element_bid", "filter_visible_only"},
	"error":    {"", "error_id"},
	"download": {"file_path", ""},
	"success":  {""},
	"null":     {""},
}

// decodable says whether the original client could make an observation of b: it calls a constructor with the extras.
func decodable(b []byte, a sandbox.Action) error {
	var o struct {
		Observation *sandbox.Kind
		Content     *string
		Extras      map[string]json.RawMessage
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return err
	}
	if o.Observation == nil || o.Content == nil || o.Extras == nil {
		return errors.New("observation, content or extras are missing")
	}
	names, ok := known[*o.Observation]
	if !ok {
		return fmt.Errorf("no observation is called %q", *o.Observation)
	}
	allowed, required := map[string]bool{}, true
	for _, n := range names {
		required = required && n != ""
		if _, has := o.Extras[n]; required && !has {
			return fmt.Errorf("the extra %s is missing", n)
		}
		allowed[n] = true
	}
	for n := range o.Extras {
		if !allowed[n] && *o.Observation != sandbox.KindRun {
			return fmt.Errorf("an extra called %s", n)
		}
	}
	if run, ok := a.Args.(sandbox.RunArgs); ok && run.Hidden && *o.Observation != sandbox.KindRun {
		return errors.New("the answer to a hidden command must be a run observation")
	}
	if *o.Observation == sandbox.KindRun {
		return metadata(o.Extras["metadata"])
	}
	return nil
}

// metadata checks that of a run observation.
func metadata(raw json.RawMessage) error {
	var m struct {
		ExitCode *int `json:"exit_code"`
		PID      *int
		Prefix   *string
		Suffix   *string
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	if m.ExitCode == nil || m.PID == nil || m.Prefix == nil || m.Suffix == nil {
		return errors.New("metadata lacks exit_code, pid, prefix or suffix")
	}
	return nil
}

// Ping implements sandbox.Runtime.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.ask(ctx, http.MethodGet, "/alive", "", nil)
	return err
}

// List implements sandbox.Files.
func (c *Client) List(ctx context.Context, dir string) ([]string, error) {
	body, _ := json.Marshal(map[string]string{"path": dir}) // strings can be encoded
	b, err := c.ask(ctx, http.MethodPost, "/list_files", "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	var names []string
	err = json.Unmarshal(b, &names)
	return names, err
}

// upload posts a file the way that the client's copy_to does.
func (c *Client) upload(ctx context.Context, name, destination string, recursive bool, content []byte) error {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err == nil {
		_, err = part.Write(content)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		return err
	}
	target := fmt.Sprintf("/upload_file?destination=%s&recursive=%v", url.QueryEscape(destination), recursive)
	_, err = c.ask(ctx, http.MethodPost, target, form.FormDataContentType(), &body)
	return err
}

// Put implements sandbox.Files.
func (c *Client) Put(ctx context.Context, name string, r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	name = c.path(name)
	return c.upload(ctx, path.Base(name), path.Dir(name), false, b)
}

// download gets a directory as the client's copy_from does, which does not look at the status.
func (c *Client) download(ctx context.Context, dir string) (map[string]string, error) {
	r, err := c.send(ctx, http.MethodGet, "/download_files?path="+url.QueryEscape(dir), "", nil)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	archive, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("status %d: %w", r.StatusCode, err)
	}
	files := map[string]string{}
	for _, f := range archive.File {
		in, err := f.Open()
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(in)
		in.Close()
		if err != nil {
			return nil, err
		}
		files[f.Name] = string(content)
	}
	return files, nil
}

func (c *Client) path(name string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Join(c.Dir, name)
}

var errNoSuchThing = &sandbox.Error{Code: sandbox.Unsupported, Op: "the OpenHands form", Err: errors.New("has no such thing")}

// Get implements sandbox.Files; the form has no download of one file.
func (c *Client) Get(context.Context, string, io.Writer) error { return errNoSuchThing }

// GetTree implements sandbox.Files; the form has zip archives only, which download reads.
func (c *Client) GetTree(context.Context, string, io.Writer) error { return errNoSuchThing }

// PutTree implements sandbox.Files; the form has zip archives only, which upload sends.
func (c *Client) PutTree(context.Context, string, io.Reader) error { return errNoSuchThing }
