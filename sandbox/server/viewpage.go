package server

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"

	"github.com/valyala/fasthttp"
)

// viewed are the types of what can be shown.
var viewed = map[string]string{".pdf": "application/pdf", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif"}

const (
	pageHead = "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>%s</title>\n" +
		"<style>body { margin: 0; padding: 20px; background: #525659; font-family: sans-serif } h1, p { color: white } " +
		"img { max-width: 100%% } canvas.page { display: block; margin: 0 auto 20px; background: white }</style>\n</head>\n<body>\n"
	pageFoot = "</body>\n</html>\n"
)

// page answers with a page that says something.
func page(ctx *fasthttp.RequestCtx, status int, title, text string) {
	ctx.SetStatusCode(status)
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.SetBodyString(fmt.Sprintf(pageHead, html.EscapeString(title)) +
		"<h1>" + html.EscapeString(title) + "</h1>\n<p>" + html.EscapeString(text) + "</p>\n" + pageFoot)
}

// imagePage is the page of an image.
func imagePage(name, mime string, b []byte) []byte {
	page := fmt.Appendf(nil, pageHead, html.EscapeString("File Viewer - "+name))
	page = fmt.Appendf(page, `<img alt="%s" src="data:%s;base64,`, html.EscapeString(name), mime)
	page = base64.StdEncoding.AppendEncode(page, b)
	return append(page, "\">\n"+pageFoot...)
}

// draw puts the pages, which come as images, on their canvases.
const draw = `
for (const c of document.querySelectorAll("canvas.page")) {
  if (c.dataset.page) {
    const i = new Image();
    i.onload = () => c.getContext("2d").drawImage(i, 0, 0);
    i.src = c.dataset.page;
  } else {
    const at = c.getContext("2d");
    at.font = "16px sans-serif";
    at.fillText(c.textContent.trim(), 20, 40);
  }
}
`

// drawDigest is by which a browser knows that it may run draw, and nothing else.
var drawDigest = func() string {
	d := sha256.Sum256([]byte(draw))
	return base64.StdEncoding.EncodeToString(d[:])
}()

// A sheetOfPaper is a page of a document, drawn.
type sheetOfPaper struct {
	width, height int
	png           []byte
}

// documentPage is the page of a document. note, unless empty, is said above the pages.
func documentPage(name string, pages []sheetOfPaper, note string) []byte {
	page := fmt.Appendf(nil, pageHead, html.EscapeString("File Viewer - "+name))
	if note != "" {
		page = fmt.Appendf(page, "<p>%s</p>\n", html.EscapeString(note))
	}
	for i, p := range pages {
		page = fmt.Appendf(page, `<canvas class="page" width="%d" height="%d" data-page="data:image/png;base64,`, p.width, p.height)
		page = base64.StdEncoding.AppendEncode(page, p.png)
		page = fmt.Appendf(page, "\">Page %d of %s</canvas>\n", i+1, html.EscapeString(name))
	}
	if len(pages) == 0 {
		page = fmt.Appendf(page, "<canvas class=\"page\" width=\"800\" height=\"100\">%s cannot be drawn</canvas>\n", html.EscapeString(name))
	}
	return append(page, "<script>"+draw+"</script>\n"+pageFoot...)
}
