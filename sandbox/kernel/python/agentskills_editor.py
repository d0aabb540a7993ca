"""file_editor for cells: the editor of the sandbox's server, with a history of its own and the rights of the kernel's user.

The texts are those of the server's editor, which has the reasons for them.
"""

import codecs
import json
import os
import uuid

MAX_EDIT = 10 << 20  # bytes of a file that the editor opens
MAX_RESPONSE = 16000  # characters that are shown at once
MAX_UNDO = 10  # edits of one file that can be undone
MAX_HISTORY = 64 << 20  # bytes of what edited files held before
CONTEXT = 4  # lines around a change that are shown
SAMPLE = 1024  # bytes of a file's begin that tell what it is
CONVERTIBLE = (".docx", ".xlsx", ".pptx", ".pdf", ".mp3", ".wav", ".m4a", ".flac")
COMMANDS = "view, create, str_replace, insert, undo_edit"

CLIPPED = "<response clipped><NOTE>Due to the max output limit, only part of this %s has been shown to you. You should "
FILE_CLIPPED = CLIPPED % "file" + (
    "retry this tool after you have searched inside the file with `grep -n` in order to find the line numbers of what "
    "you are looking for.</NOTE>"
)
DIR_CLIPPED = CLIPPED % "directory" + "use `ls -la` instead to view large directories incrementally.</NOTE>"


class Refusal(Exception):
    """What an agent is told that asked for what cannot be."""


def _bad(name, value, hint):
    return Refusal("Invalid `%s` parameter: %s. %s" % (name, value, hint))


def _newlines(s):
    return s.replace("\r\n", "\n").replace("\r", "\n")


class _Text:
    """A file's text: raw as it is there, lines with "\\n" alone, which is what is shown and searched."""

    def __init__(self, raw, encoding, mark):
        self.raw, self.encoding, self.mark = raw, encoding, mark
        self.lines = _newlines(raw)
        self.crlf = 2 * raw.count("\r\n") > raw.count("\n")

    @classmethod
    def decode(cls, b):
        for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
            if b.startswith(mark):
                return cls(b[2:].decode(encoding), encoding, mark)
        for encoding in ("utf-8", "cp1252"):
            try:
                return cls(b.decode(encoding), encoding, b"")
            except UnicodeDecodeError:
                pass
        return cls(b.decode("latin-1"), "latin-1", b"")

    def splice(self, a, b, s):
        """Puts s in place of lines[a:b]: all else stays as it is in the file, and s gets the file's line endings."""
        if self.crlf:
            s = _newlines(s).replace("\n", "\r\n")
        raw = self.raw[: self._at(a)] + s + self.raw[self._at(b) :]
        return _Text(raw, self.encoding, self.mark)

    def _at(self, i):
        if len(self.raw) == len(self.lines):
            return i
        at = 0
        while True:
            k = self.raw.find("\r\n", at)
            if k < 0 or k - at >= i:
                return at + i
            at, i = k + 2, i - (k - at) - 1

    def bytes(self):
        return self.mark + self.raw.encode(self.encoding)


def _binary(sample):
    if sample[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return any(sample[i : i + 2] == b"\0\0" for i in range(0, len(sample) - 1, 2))
    if b"\0" in sample:
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
        return False
    except UnicodeDecodeError:
        control = sum(c < 0x20 and c not in b"\n\r\t\f\b" for c in sample)
        return b"\xff" in sample or 10 * control > 3 * len(sample)


def _load(p):
    def invalid(reason):
        return Refusal("File validation failed for %s: %s" % (p, reason))

    if not os.path.isfile(p):
        raise invalid("It is not a regular file, and this tool reads and edits no other.")
    size = os.path.getsize(p)
    if size > MAX_EDIT:
        raise invalid("File is too large (%.1fMB). Maximum allowed size is %dMB." % (size / (1 << 20), MAX_EDIT >> 20))
    with open(p, "rb") as f:
        b = f.read(MAX_EDIT + 1)
    if p.endswith(".pyc") or _binary(b[:SAMPLE]):
        raise invalid("File appears to be binary and this file type cannot be read or edited by this tool.")
    try:
        return _Text.decode(b), b
    except UnicodeDecodeError:
        raise invalid("File appears to be binary and this file type cannot be read or edited by this tool.") from None


def _write(p, b, new=False):
    try:
        with open(p, "xb" if new else "r+b") as f:  # the file itself, so that it keeps its mode, owner and links
            f.write(b)
            f.truncate()
    except PermissionError:
        raise
    except OSError as e:
        raise Refusal("Ran into %s while trying to write to %s" % (e, p)) from None


def _numbered(text, described, number=1):
    if len(text) > MAX_RESPONSE:
        text = text[:MAX_RESPONSE] + FILE_CLIPPED
    block = ["%6d\t%s\n" % (number + i, line) for i, line in enumerate(text.split("\n"))]
    return "Here's the result of running `cat -n` on %s:\n%s" % (described, "".join(block))


def _pieces(text):
    """The lines of text with their ends, as those of a file."""
    pieces = [line + "\n" for line in text.split("\n")]
    pieces[-1] = pieces[-1][:-1]
    return pieces if pieces[-1] else pieces[:-1]


class Editor:
    """An editor with its history."""

    def __init__(self):
        self._history = []  # of (path, bytes), the oldest first

    def __call__(self, command, path, file_text=None, view_range=None, old_str=None, new_str=None, insert_line=None):
        """Performs a command and returns what is to be said, and the text before and after."""
        p = os.path.join("/" if path.startswith("/") else "", *[n for n in path.split("/") if n not in ("", ".")]) or "."
        self._check(command, p)

        def missing(name):
            return Refusal("Parameter `%s` is required for command: %s." % (name, command))

        if command == "view":
            return self._view(p, view_range), None, None
        if command == "create":
            if file_text is None:
                raise missing("file_text")
            return self._create(p, file_text)
        if command == "str_replace":
            if old_str is None:
                raise missing("old_str")
            if new_str == old_str:
                raise _bad("new_str", new_str, "No replacement was performed. `new_str` and `old_str` must be different.")
            return self._replace(p, old_str, new_str or "")
        if command == "insert":
            if insert_line is None:
                raise missing("insert_line")
            if new_str is None:
                raise missing("new_str")
            return self._insert(p, insert_line, new_str)
        if command == "undo_edit":
            return self._undo(p)
        raise Refusal("Unrecognized command %s. The allowed commands for the oh_editor tool are: %s" % (command, COMMANDS))

    def _check(self, command, p):
        if not os.path.isabs(p):
            hint = "The path should be an absolute path, starting with `/`."
            full = os.path.abspath(p)
            if os.path.exists(full):
                hint += " Maybe you meant %s?" % full
            raise _bad("path", p, hint)
        try:
            os.stat(p)
            there = True
        except (FileNotFoundError, NotADirectoryError):
            there = False
        if command == "create" and there:
            raise _bad("path", p, "File already exists at: %s. Cannot overwrite files using command `create`." % p)
        if command != "create" and not there:
            raise _bad("path", p, "The path %s does not exist. Please provide a valid path." % p)
        if command == "view":
            return
        if os.path.isdir(p):
            raise _bad("path", p, "The path %s is a directory and only the `view` command can be used on directories." % p)
        ext = os.path.splitext(p)[1]
        if ext.lower() in CONVERTIBLE:
            raise _bad("path", p, "The path %s points to a binary file (%s) and only the `view` command can be used on "
                       "supported binary files." % (p, ext))

    def _view(self, p, lines):
        if os.path.isdir(p):
            if lines:
                raise _bad("view_range", lines, "The `view_range` parameter is not allowed when `path` points to a directory.")
            return _view_dir(p)
        ext = os.path.splitext(p)[1].lower()
        if ext in CONVERTIBLE:
            raise Refusal("Error in converting file to Markdown: no converter for %s files. Please use Python code to "
                          "read %s" % (ext, p))
        text = _load(p)[0].lines
        if not lines:
            return _numbered(text, p)
        if not isinstance(lines, (list, tuple)) or len(lines) != 2 or not all(isinstance(n, int) for n in lines):
            raise _bad("view_range", lines, "It should be a list of two integers.")
        all_lines, (first, last), note = _pieces(text), lines, ""
        n = len(all_lines)
        if not 1 <= first <= n:
            raise _bad("view_range", list(lines), "Its first element `%d` should be within the range of lines of the file: "
                       "%s." % (first, [1, n]))
        if last > n:
            note = "NOTE: We only show up to %d since there're only %d lines in this file.\n" % (n, n)
        if last == -1 or last > n:
            last = n
        if last < first:
            raise _bad("view_range", list(lines), "Its second element `%d` should be greater than or equal to the first "
                       "element `%d`." % (last, first))
        shown = "".join(all_lines[first - 1 : last])
        return note + _numbered(shown[:-1] if shown.endswith("\n") else shown, p, first)

    def _create(self, p, content):
        _write(p, content.encode(), new=True)
        self._push(p, content.encode())
        return "File created successfully at: " + p, None, content

    def _replace(self, p, old, new):
        t, before = _load(p)
        if t.raw != t.lines:  # it may have been seen as it is
            old = _newlines(old)
        count = t.lines.count(old)
        if count == 0:  # models add blanks around
            old, new = old.strip(), new.strip()
            count = t.lines.count(old)
        if count == 0:
            raise Refusal("No replacement was performed, old_str `%s` did not appear verbatim in %s." % (old, p))
        if count > 1:
            raise Refusal("No replacement was performed. Multiple occurrences of old_str `%s` in lines %s. Please ensure it "
                          "is unique." % (old, _places(t.lines, old)))
        at = t.lines.index(old)
        after = t.splice(at, at + len(old), new)
        _write(p, after.bytes())
        self._push(p, before)
        line = t.lines.count("\n", 0, at) + 1
        first = max(0, line - CONTEXT)
        snippet = "".join(_pieces(after.lines)[first : line + CONTEXT + new.count("\n")])
        return ("The file %s has been edited. %sReview the changes and make sure they are as expected. Edit the file again if "
                "necessary." % (p, _numbered(snippet, "a snippet of " + p, first + 1)), t.lines, after.lines)

    def _insert(self, p, n, new):
        try:
            n = int(n)
        except (TypeError, ValueError):
            raise Refusal("Invalid insert_line value: %r. Expected an integer." % (n,)) from None
        t, before = _load(p)
        lines = _pieces(t.lines)
        if not 0 <= n <= len(lines):
            raise _bad("insert_line", n, "It should be within the range of allowed values: %s" % [0, len(lines)])
        at, block = len("".join(lines[:n])), new + "\n"
        if at > 0 and t.lines[at - 1] != "\n":
            block = "\n" + block
        after = t.splice(at, at, block)
        _write(p, after.bytes())
        self._push(p, before)
        added = new.count("\n") + 1
        snippet = "".join(_pieces(after.lines)[max(0, n - CONTEXT) : min(len(lines) + added, n + CONTEXT + added)])
        return ("The file %s has been edited. %sReview the changes and make sure they are as expected (correct indentation, no "
                "duplicate lines, etc). Edit the file again if necessary."
                % (p, _numbered(snippet, "a snippet of the edited file", max(1, n - CONTEXT + 1))), t.lines, after.lines)

    def _undo(self, p):
        t, _ = _load(p)
        key = os.path.realpath(p)
        for i in range(len(self._history) - 1, -1, -1):
            if self._history[i][0] == key:
                break
        else:
            raise Refusal("No edit history found for %s." % p)
        b = self._history[i][1]
        was = _Text.decode(b)
        _write(p, b)
        del self._history[i]
        return "Last edit to %s undone successfully. %s" % (p, _numbered(was.lines, p)), t.lines, was.lines

    def _push(self, p, b):
        key = os.path.realpath(p)
        mine = [i for i, (path, _) in enumerate(self._history) if path == key]
        if len(mine) >= MAX_UNDO:
            del self._history[mine[0]]
        self._history.append((key, b))
        while sum(len(old) for _, old in self._history) > MAX_HISTORY:
            del self._history[0]


def _places(text, sub):
    """The lines in which sub stands, each once, without overlap."""
    lines, at, line, counted = [], text.find(sub), 1, 0
    while 0 <= at <= len(text) and len(lines) < 10000:
        line += text.count("\n", counted, at)
        counted = at
        if not lines or lines[-1] != line:
            lines.append(line)
        at += max(len(sub), 1)
        at = text.find(sub, at) if at <= len(text) else -1
    return lines


def _visible(d):
    try:
        names = os.listdir(d)
    except OSError:
        return [], 0
    shown = [d.rstrip("/") + "/" + n for n in names if not n.startswith(".")]
    return shown, len(names) - len(shown)


def _view_dir(p):
    paths, hidden = _visible(p)
    for sub in list(paths):
        if os.path.isdir(sub):
            paths += _visible(sub)[0]
    listing = "\n".join(sorted(paths + [p]))
    if len(listing) > MAX_RESPONSE:
        listing = listing[:MAX_RESPONSE] + DIR_CLIPPED
    listing = "\n".join(e + "/" if e != "/" and os.path.isdir(e) else e for e in listing.split("\n"))
    out = "Here's the files and directories up to 2 levels deep in %s, excluding hidden items:\n%s" % (p, listing)
    if hidden:
        out += ("\n\n%d hidden files/directories in this directory are excluded. You can use 'ls -la %s' to see them."
                % (hidden, p))
    return out


_editor = Editor()


def file_editor(command, path, file_text=None, view_range=None, old_str=None, new_str=None, insert_line=None,
                enable_linting=False):
    """Views, creates and edits text files; undoes edits.

    command: view, create, str_replace, insert or undo_edit.
    path: absolute, of a file or, for view, a directory.
    Returns an object of JSON between two marks.
    """
    try:
        output, before, after = _editor(command, path, file_text, view_range, old_str, new_str, insert_line)
        result = {"output": output, "error": None, "path": path, "prev_exist": command != "create",
                  "old_content": before, "new_content": after}
        formatted = output
    except Refusal as e:
        result = {"output": None, "error": str(e)}
        formatted = "ERROR:\n" + str(e)
    result["formatted_output_and_error"] = formatted
    mark = "oh_aci_output_" + uuid.uuid4().hex
    return "<%s>\n%s\n</%s>" % (mark, json.dumps(result), mark)
