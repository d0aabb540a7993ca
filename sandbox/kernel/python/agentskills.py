"""The functions that agents know from OpenHands. All but file_editor print, and return nothing."""

import os

from agentskills_editor import file_editor

__all__ = [
    "file_editor", "open_file", "goto_line", "scroll_down", "scroll_up", "search_dir", "search_file", "find_file",
    "parse_pdf", "parse_docx", "parse_latex", "parse_pptx", "parse_audio", "parse_image", "parse_video",
]

WINDOW = 100  # lines that are shown
MAX_FILES = 100  # that a search may find something in

_file = None  # the open file
_line = 1  # of it, where the reader is


def _error(text):
    print("ERROR: " + text)


def _clamp(value, low, high):
    return max(low, min(value, high))


def _read(path):
    """The lines of a file, each with its end."""
    with open(path, errors="replace") as f:
        return f.readlines()


def _header(path, total):
    return "[File: %s (%d lines total)]\n" % (os.path.abspath(path), total)


def _window(lines, target, window, from_target=False):
    """The lines around target, or those from it on, with their numbers and what is left out."""
    global _line
    lines = lines or ["\n"]
    total = len(lines)
    _line = _clamp(target, 1, total)
    half = max(1, window // 2)
    if from_target:
        start, end = _line, min(total, _line + window)
    else:
        start, end = max(1, _line - half), min(total, _line + half)
    if start == 1:
        end = min(total, start + window - 1)
    if end == total:
        start = max(1, end - window + 1)
    out = ["(%d more lines above)" % (start - 1) if start > 1 else "(this is the beginning of the file)"]
    out += ["%d|%s" % (i, lines[i - 1].rstrip("\n")) for i in range(start, end + 1)]
    out.append("(%d more lines below)" % (total - end) if end < total else "(this is the end of the file)")
    return "\n".join(out)


def open_file(path, line_number=1, context_lines=WINDOW):
    """Opens a file and shows the lines around one.

    path: of the file.
    line_number: the line to go to.
    context_lines: how many lines to show, at most 100.
    """
    global _file
    if not os.path.isfile(path):
        return _error("File %s not found." % path)
    _file = os.path.abspath(path)
    lines = _read(_file)
    total = max(1, len(lines))
    if not isinstance(line_number, int) or not 1 <= line_number <= total:
        return _error("Line number must be between 1 and %d" % total)
    if context_lines is None or context_lines < 1:
        context_lines = WINDOW
    out = _header(_file, total) + _window(lines, line_number, _clamp(context_lines, 1, WINDOW))
    if out.endswith("more lines below)"):
        out += "\n[Use `scroll_down` to view the next 100 lines of the file!]"
    print(out)


def _opened():
    """The lines of the open file, or None after saying that there is none."""
    if _file is None or not os.path.isfile(_file):
        return _error("No file open. Use the open_file function first.")
    return _read(_file)


def goto_line(line_number):
    """Shows the lines of the open file around one.

    line_number: the line to go to.
    """
    lines = _opened()
    if lines is None:
        return
    total = max(1, len(lines))
    if not isinstance(line_number, int) or not 1 <= line_number <= total:
        return _error("Line number must be between 1 and %d." % total)
    print(_header(_file, total) + _window(lines, line_number, WINDOW))


def _scroll(by):
    lines = _opened()
    if lines is None:
        return
    total = max(1, len(lines))
    print(_header(_file, total) + _window(lines, _clamp(_line + by, 1, total), WINDOW, from_target=True))


def scroll_down():
    """Moves down by 100 lines in the open file."""
    _scroll(WINDOW)


def scroll_up():
    """Moves up by 100 lines in the open file."""
    _scroll(-WINDOW)


def _walk(dir_path):
    for root, _, files in os.walk(dir_path):
        for name in files:
            yield name, os.path.join(root, name)


def search_dir(search_term, dir_path="./"):
    """Searches for a text in all files of a directory, but for those whose names begin with a dot.

    search_term: the text.
    dir_path: the directory.
    """
    if not os.path.isdir(dir_path):
        return _error("Directory %s not found" % dir_path)
    matches, files = [], set()
    for name, path in _walk(dir_path):
        if name.startswith(".") or not os.path.isfile(path):  # a FIFO would never end
            continue
        try:
            with open(path, errors="ignore") as f:
                for number, line in enumerate(f, 1):
                    if search_term in line:
                        files.add(path)
                        if len(files) <= MAX_FILES:
                            matches.append("%s (Line %d): %s" % (path, number, line.strip()))
        except OSError:
            pass
    if not matches:
        print('No matches found for "%s" in %s' % (search_term, dir_path))
    elif len(files) > MAX_FILES:
        print('More than %d files matched for "%s" in %s. Please narrow your search.' % (len(files), search_term, dir_path))
    else:
        _found(matches, search_term, dir_path)


def _found(matches, what, where):
    print('[Found %d matches for "%s" in %s]' % (len(matches), what, where))
    print("\n".join(matches))
    print('[End of matches for "%s" in %s]' % (what, where))


def search_file(search_term, file_path=None):
    """Searches for a text in a file.

    search_term: the text.
    file_path: the file; the open one if there is none.
    """
    if file_path is None:
        file_path = _file
    if file_path is None:
        return _error("No file specified or open. Use the open_file function first.")
    if not os.path.isfile(file_path):
        return _error("File %s not found." % file_path)
    matches = ["Line %d: %s" % (i, line.strip()) for i, line in enumerate(_read(file_path), 1) if search_term in line]
    if matches:
        _found(matches, search_term, file_path)
    else:
        print('[No matches found for "%s" in %s]' % (search_term, file_path))


def find_file(file_name, dir_path="./"):
    """Finds the files of a directory whose names contain a text.

    file_name: the text.
    dir_path: the directory.
    """
    if not os.path.isdir(dir_path):
        return _error("Directory %s not found" % dir_path)
    matches = [path for name, path in _walk(dir_path) if file_name in name]
    if matches:
        _found(matches, file_name, dir_path)
    else:
        print('[No matches found for "%s" in %s]' % (file_name, dir_path))


def _parse(kind, path, package, pages):
    """Shows the pages of a document as a package that may be installed reads them."""
    if not os.path.isfile(path):
        return _error("File %s not found." % path)
    print("[Reading %s file from %s]" % (kind, path))
    try:
        for title, text in pages(path):
            print("@@ %s @@\n%s\n" % (title, text))
    except ImportError as e:
        _error("%s. Install it with `pip install %s` and try again." % (e, package))
    except Exception as e:  # the file is what it is
        _error("The file could not be read as %s: %s" % (kind, e))


def _pdf_pages(path):
    try:
        from pypdf import PdfReader
    except ImportError:
        try:
            from PyPDF2 import PdfReader
        except ImportError:
            raise ImportError("Reading PDF needs the package pypdf") from None
    for i, page in enumerate(PdfReader(path).pages, 1):
        yield "Page %d" % i, (page.extract_text() or "").strip()


def parse_pdf(file_path):
    """Shows the text of a PDF file.

    file_path: the file.
    """
    _parse("PDF", file_path, "pypdf", _pdf_pages)


def _office(path, member):
    """The root of a part of an Office file, which is a ZIP of XML."""
    import zipfile
    from xml.etree import ElementTree

    with zipfile.ZipFile(path) as z:
        if z.getinfo(member).file_size > 64 << 20:
            raise ValueError("%s is too large" % member)
        return ElementTree.fromstring(z.read(member))


def _paragraphs(root):
    """The paragraphs of an XML of Office, whose text is in elements t within elements p."""
    for p in root.iter():
        if p.tag.endswith("}p"):
            text = "".join(t.text or "" for t in p.iter() if t.tag.endswith("}t"))
            if text:
                yield text


def _docx_pages(path):
    for i, text in enumerate(_paragraphs(_office(path, "word/document.xml")), 1):
        yield "Page %d" % i, text


def parse_docx(file_path):
    """Shows the paragraphs of a DOCX file.

    file_path: the file.
    """
    _parse("DOCX", file_path, "", _docx_pages)


def _latex_pages(path):
    import re

    text = "".join(_read(path))
    text = re.sub(r"(?<!\\)%.*", "", text)
    text = re.sub(r"\\(?:begin|end)\{[^{}]*\}(?:\[[^\]]*\])?", "", text)
    text = re.sub(r"\\[a-zA-Z]+\*?(?:\[[^\]]*\])?", "", text)
    yield "Page 1", re.sub(r"[{}]", "", text).strip()


def parse_latex(file_path):
    """Shows the text of a LaTeX file without its commands.

    file_path: the file.
    """
    _parse("LaTex", file_path, "", _latex_pages)


def _pptx_pages(path):
    import re
    import zipfile

    with zipfile.ZipFile(path) as z:
        numbers = [int(m.group(1)) for m in (re.fullmatch(r"ppt/slides/slide(\d+)\.xml", n) for n in z.namelist()) if m]
    for i, number in enumerate(sorted(numbers), 1):
        yield "Slide %d" % i, "\n".join(_paragraphs(_office(path, "ppt/slides/slide%d.xml" % number)))


def parse_pptx(file_path):
    """Shows the text of a PowerPoint file, slide by slide.

    file_path: the file.
    """
    _parse("PowerPoint", file_path, "", _pptx_pages)


def _needs_model(kind):
    _error("Reading %s needs a model, and none can be reached from here: use the tools of your own runtime for it." % kind)


def parse_audio(file_path, model="whisper-1"):
    """Says that audio cannot be read here."""
    _needs_model("audio")


def parse_image(file_path, task="Describe this image as detail as possible."):
    """Says that images cannot be read here."""
    _needs_model("images")


def parse_video(file_path, task="Describe this image as detail as possible.", frame_interval=30):
    """Says that video cannot be read here."""
    _needs_model("video")
