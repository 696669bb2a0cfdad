"""Prepare lines of text for a CSV parser: leave out comments, turn runs of blanks into one tab."""

import io
import re

import numpy as np

from .dialect import BLANKS, EXCEL_ERRORS

_TAB, _SPACE, _QUOTE, _LF, _CR = (ord(sign) for sign in '\t "\n\r')
_PIECE_BYTES = 256 << 10
_LINE_END = re.compile(rb"\r\n|\r|\n")
_REST_OF_CELL = re.compile(rb'(?:[^"]|"")*"(?!")')


def split_lines(text):
    """The lines of a text with their ends; only CR and LF end a line, as in CSV."""
    return list(io.StringIO(text, newline=""))


def one_tab(content, inside=False):
    """Turn every run of spaces and tabs into one tab; drop those at the ends of lines.

    Parameters
    ----------
    content : bytes
        Whole lines. Text between double quotes is left alone.
    inside : bool
        The content begins between double quotes.
    """
    if not content:
        return content
    signs = np.frombuffer(content, np.uint8)
    if _is_tidy(signs) and b'"' not in content and not inside:
        return content.replace(b" ", b"\t")  # more than twice as fast
    blank = (signs == _TAB) | (signs == _SPACE)
    if inside or b'"' in content:
        blank &= (np.cumsum(signs == _QUOTE) + inside) % 2 == 0
    edges = np.diff(blank, prepend=False, append=False).nonzero()[0]
    starts, ends = edges[::2], edges[1::2]
    line_end = (signs == _LF) | (signs == _CR)
    inner = (starts > 0) & (ends < len(signs))
    inner[inner] = ~line_end[starts[inner] - 1] & ~line_end[ends[inner]]
    keep = ~blank
    keep[starts[inner]] = True
    signs = np.where(blank, np.uint8(_TAB), signs)
    return signs[keep].tobytes()


def _is_tidy(signs):
    """Whether all blanks are single ones between cells."""
    if signs[0] in b"\t " or signs[-1] in b"\t ":
        return False
    space = signs <= _SPACE
    pairs = space[1:] & space[:-1]
    pairs &= (signs[1:] != _LF) | (signs[:-1] != _CR)
    return not pairs.any()


class Quotes:
    """Follows quoted cells from line to line, as line breaks in them do not end a row.

    Parameters
    ----------
    delimiters : str
        The possible ones; a quote counts only at the beginning of a cell.
    """

    def __init__(self, delimiters):
        blanks = rb"[ \t]*" if BLANKS in delimiters else b""
        signs = re.escape(delimiters.replace(BLANKS, " \t").encode())
        cell = rb'(?:^%s|[%s])"(?:[^"]|"")*("(?!")|\Z)' % (blanks, signs)
        self._cell = re.compile(cell)
        self.inside = False

    def pass_line(self, line):
        """Whether the line, bytes, began within a cell."""
        began = self.inside
        if b'"' in line:
            at = 0
            if began:
                end = _REST_OF_CELL.match(line)
                if not end:
                    return began
                at = end.end()
            found = self._cell.finditer(line[at:])
            self.inside = any(not cell[1] for cell in found)
        return began


class Comments:
    """Leaves out lines that begin with a sign.

    Parameters
    ----------
    sign : str
    guessed : bool
        The sign is a guess: lines that begin with an Excel error, such as #N/A, stay.
    delimiters : str
        The possible ones.

    Attributes
    ----------
    count : int
        Lines that were left out.
    first : bytes
        The first of them.
    """

    def __init__(self, sign, guessed, delimiters):
        self._sign = sign.encode()
        self._errors = tuple(e.encode() for e in EXCEL_ERRORS) if guessed else ()
        self._quotes = Quotes(delimiters)
        self.count, self.first = 0, b""

    def is_comment(self, line):
        """Whether the next line, bytes, is a comment and not inside a cell."""
        if not self._quotes.inside:
            text = line.lstrip(b" \t")
            if text.startswith(self._sign) and not text.startswith(self._errors):
                return True
        self._quotes.pass_line(line)
        return False

    def may_match(self, content):
        """Whether whole lines, bytes, may contain comments."""
        return self._sign in content

    def __call__(self, content):
        if not self.may_match(content) and b'"' not in content:
            return content
        kept = []
        for line in content.splitlines(keepends=True):
            if not self.is_comment(line):
                kept.append(line)
                continue
            self.first = self.first if self.count else line
            self.count += 1
        return b"".join(kept)


class WithoutEnd:
    """Leaves out blank lines and the DOS end-of-file character at the end of a text.

    Parameters
    ----------
    delimiter : str
        If it is a tab, tabs are cells and not blanks.
    """

    def __init__(self, delimiter):
        self._blank = b" \r\n\x1a" if delimiter == "\t" else b" \t\r\n\x1a"
        self._held = b""

    def __call__(self, content):
        content = self._held + content
        cut = self._end(content)
        self._held = content[cut:]
        return content[:cut].removesuffix(b"\x1a")

    def has_work(self, end, only_blanks):
        """Whether the end of a text, bytes, has blank lines; with `only_blanks`, not empty ones."""
        rest = end[self._end(end) :]
        return bool(rest.strip(b"\r\n") if only_blanks else rest) or end.endswith(b"\x1a")

    def _end(self, content):
        length = len(content.rstrip(self._blank))
        end = _LINE_END.search(content, length)
        return 0 if not length else end.end() if end else len(content)


class OneTab:
    """`one_tab` for a text that comes in pieces."""

    def __init__(self):
        self._inside = False

    def __call__(self, content):
        made = one_tab(content, self._inside)
        self._inside ^= content.count(b'"') % 2 == 1
        return made


def whole_lines(stream):
    """Yield a stream of bytes in pieces of whole lines."""
    pieces = []
    while piece := stream.read(_PIECE_BYTES):
        # a CR may be followed by its LF
        cut = max(piece.rfind(b"\n"), piece.rfind(b"\r", 0, -1)) + 1
        pieces.append(piece[:cut] if cut else piece)
        if cut:
            yield b"".join(pieces)
            pieces = [piece[cut:]]
    yield b"".join(pieces)


def line_of_row(pieces, row, *, delimiter, comments, blank_rows):
    """The number of the line where a row begins, counted from 1, and the line; or None.

    Parameters
    ----------
    pieces : iterable of bytes
        From `whole_lines`.
    row : int
    delimiter : str
    comments : Comments or None
    blank_rows : bool
        Blank lines are rows.
    """
    quotes, number, rows = Quotes(delimiter), 0, 0
    blank = b" \t" if delimiter == BLANKS else b""
    for piece in pieces:
        lines = piece.splitlines()
        plain = not (quotes.inside or b'"' in piece or (comments and comments.may_match(piece)))
        if plain and rows + len(lines) <= row and all(map(bytes.strip, lines)):
            number, rows = number + len(lines), rows + len(lines)
            continue
        for line in lines:
            number += 1
            if comments and comments.is_comment(line):
                continue
            within = quotes.pass_line(line)
            if not within and (line.strip(blank) or blank_rows):
                if rows == row:
                    return number, line
                rows += 1
    return None


class FilteredLines(io.RawIOBase):
    """A stream whose lines are changed on their way.

    Parameters
    ----------
    stream : file object
        Of bytes.
    changes : list of callables
        Each takes whole lines as bytes, and returns bytes for the next one.
    """

    def __init__(self, stream, changes):
        super().__init__()
        self._stream = stream
        self._changes = changes
        self._pieces = whole_lines(stream)
        self._ready = b""

    def readable(self):
        return True

    def close(self):
        self._stream.close()
        super().close()

    def readinto(self, buffer):
        """Fill the buffer: Arrow makes a block of each read, and a block needs a whole row."""
        done = 0
        while done < len(buffer):
            if not self._ready:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                for change in self._changes:
                    piece = change(piece)
                self._ready = memoryview(piece)
            n = min(len(buffer) - done, len(self._ready))
            buffer[done : done + n] = self._ready[:n]
            self._ready = self._ready[n:]
            done += n
        return done
