package browser_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandtree/sandtree/sandbox"
	"github.com/sandtree/sandtree/sandbox/browser"
	"github.com/sandtree/sandtree/testing/need"
)

func TestBrowserThatDiesStartsAgain(t *testing.T) {
	b := start(t, map[string]string{"/": form}, nil)
	b.browse(b.site)
	pid := b.Info().PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// What comes at once may meet the dying browser, or the next one.
	if s := b.do("noop(50)"); s.Error && !strings.Contains(s.Content, "starts again") {
		t.Errorf("%s", s.Content)
	}
	if s := b.browse(b.site); s.Error || !strings.Contains(s.Content, "Form") {
		t.Errorf("%s", s.Content)
	}
	if now := b.Info(); now.PID == pid || !now.Running {
		t.Errorf("%+v", now)
	}
}

func TestPageThatCrashes(t *testing.T) {
	b := start(t, map[string]string{"/": form}, nil)
	b.ok("new_tab()")
	s := b.do(`goto("chrome://crash")`)
	if !s.Error || s.ActionErr != "Error: Page crashed" {
		t.Errorf("%+v %s", s.ActionErr, s.Content)
	}
	if s := b.browse(b.site); s.Error || !strings.Contains(s.Content, "Form") || s.Active != 0 {
		t.Errorf("%s", s.Content)
	}
}

// A page whose script never ends does not answer: the action ends in its time, and the next finds a browser.
func TestPageThatHangs(t *testing.T) {
	b := start(t, map[string]string{"/": "<button onclick='for(;;);'>Hang</button>", "/ok": "fine"}, func(c *browser.Config) { c.Timeout = time.Minute })
	s := b.ok(`goto("` + b.site + `")`)
	bid := s.bid(t, "Hang")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errors.New("Browser environment took too long to respond."))
	defer cancel()
	s = b.read(b.Interact(ctx, sandbox.BrowseInteractiveArgs{BrowserActions: `click("` + bid + `")`}))
	if !s.Error || !strings.HasPrefix(s.Content, "Browser environment took too long to respond.") || s.URL != "" || s.Screenshot != "" || s.Active != -1 {
		t.Errorf("%+v", s.Content)
	}
	if s := b.browse(b.site + "/ok"); s.Error || !strings.Contains(s.Content, "fine") {
		t.Errorf("%s", s.Content)
	}
}

func TestWhatAKilledServerLeftIsRemoved(t *testing.T) {
	b := start(t, nil, func(c *browser.Config) {
		c.Mark = "c0ffee"
		if err := os.MkdirAll(filepath.Join(c.TempDir, "chromium-c0ffee-1/Default"), 0o700); err != nil {
			t.Fatal(err)
		}
	})
	b.ok("noop(0)") // what is left at the end is looked for by start
}

func TestInterrupt(t *testing.T) {
	b := start(t, nil, nil)
	b.ok("noop(0)")
	pid := b.Info().PID
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(100*time.Millisecond, cancel)
	defer timer.Stop()
	s := b.read(b.Interact(ctx, sandbox.BrowseInteractiveArgs{BrowserActions: "noop(60000)"}))
	if !s.Error || s.Content != "The action was interrupted." {
		t.Error(s.Content)
	}
	b.ok("noop(0)")
	if b.Info().PID != pid {
		t.Error("the browser was started again")
	}
}

func TestMissing(t *testing.T) {
	b := start(t, nil, func(c *browser.Config) {
		c.Env = func() []string { return []string{"PATH=/nowhere", "PLAYWRIGHT_BROWSERS_PATH=/nowhere"} }
	})
	_, err := b.Browse(t.Context(), sandbox.BrowseArgs{URL: "x"})
	if sandbox.CodeOf(err) != sandbox.Unsupported || !strings.Contains(err.Error(), "install the package chromium") {
		t.Error(err)
	}
	if i := b.Info(); i != (browser.Info{}) {
		t.Errorf("%+v", i)
	}
}

func TestClosed(t *testing.T) {
	b := start(t, nil, nil)
	b.ok("noop(0)")
	for range 2 {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := b.Browse(t.Context(), sandbox.BrowseArgs{URL: "about:blank"}); sandbox.CodeOf(err) != sandbox.Unavailable {
		t.Error(err)
	}
}

// An ordinary user's browser has its own sandbox, where the kernel lets it, and what it makes is that user's.
func TestOrdinaryUser(t *testing.T) {
	need.Root(t)
	const nobody = 65534
	b := start(t, map[string]string{"/": `<title>Home</title><a href=/file.csv>Get</a>`}, func(c *browser.Config) {
		c.Child.User = &syscall.Credential{Uid: nobody, Gid: nobody}
		for _, dir := range []string{c.Dir, c.TempDir} {
			for d := dir; d != os.TempDir(); d = filepath.Dir(d) { // those above are 0700
				if err := os.Chmod(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := os.Chown(c.Dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	})
	s := b.ok(`goto("` + b.site + `")`)
	t.Logf("%+v", b.Info())
	s = b.do(`click("` + s.bid(t, "Get") + `")`)
	for _, path := range []string{s.FilePath, filepath.Join(b.dir, ".downloads/report.csv"), filepath.Join(b.dir, ".browser_screenshots")} {
		info, err := os.Stat(path)
		if err != nil {
			t.Errorf("%v\n%s", err, s.Content)
		} else if info.Sys().(*syscall.Stat_t).Uid != nobody {
			t.Errorf("%s is not the user's", path)
		}
	}
}

func TestOwnCgroup(t *testing.T) {
	group := need.Cgroup(t)
	b := start(t, map[string]string{"/": form}, func(c *browser.Config) { c.Child.Cgroup = group })
	b.browse(b.site)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(group)
	for _, e := range left {
		if e.IsDir() {
			t.Errorf("left: %s, %v", e.Name(), err)
		}
	}
}

func TestCloseDuringAnAction(t *testing.T) {
	b := start(t, nil, nil)
	b.ok("noop(0)")
	done := make(chan seen)
	go func() {
		o, err := b.Interact(context.WithoutCancel(t.Context()), sandbox.BrowseInteractiveArgs{BrowserActions: "new_tab()\nnoop(60000)"})
		if err != nil {
			t.Error(err)
		}
		done <- seen{Observation: o}
	}()
	for b.Info().Tabs < 2 { // it is under way
		time.Sleep(time.Millisecond)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if s := <-done; !strings.Contains(s.Content, "has ended") {
		t.Error(s.Content)
	}
	_, err := b.Interact(t.Context(), sandbox.BrowseInteractiveArgs{BrowserActions: "noop(0)"})
	if sandbox.CodeOf(err) != sandbox.Unavailable || !strings.Contains(err.Error(), "ask the next one") {
		t.Error(err)
	}
}
