"""Records of JSON: one object a line, or one array of objects."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from decant.data.batches import Batch, BatchRecord, Wanted, ahead, parse
from decant.data.compression import blocks
from decant.data.encodings import as_utf8, decoded
from decant.data.guesses import UTF_8
from decant.data.lines import Lines
from decant.data.records import Record, Unreadable
from decant.errors import DecantError

ONE_A_LINE = "write one JSON object a line"
ARRAY = "write an array of JSON objects, or one object a line"
LONGEST_VALUE = 128 << 20  # characters of an item of an array
_TEXT = frozenset({str})
_CONSTANT = re.compile(r"-?(NaN|Infinity)")


def loads(text: bytes) -> Any:
    """The value of a JSON text; integers of any length are exact.

    Raises:
        ValueError: it is not JSON (https://www.rfc-editor.org/rfc/rfc8259); NaN and Infinity are not.
    """
    value = orjson.loads(text)
    try:
        return json.loads(text) if _rounded(value) else value
    except RecursionError as error:
        raise ValueError("the nesting is too deep") from error


def _rounded(value: Any) -> bool:
    """Whether a value may hold an integer beyond 64 bits, which orjson rounds to a float."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return isinstance(value, float) and abs(value) >= 1 << 63
    return not _TEXT.issuperset(map(type, value)) and any(map(_rounded, value))


def read_json_lines(path: Path, encoding: str | None, wanted: Wanted) -> Iterator[Record | BatchRecord]:
    """Yield a record for each line that is not blank, or one batch for many lines, as soon as they are wanted.

    Raises:
        DecantError: the file is broken or not of its encoding.
    """
    lines = Lines(path, encoding)
    chunks = lines.chunks()
    while wanted.schema is None:
        if (chunk := next(chunks, None)) is None:
            return
        yield from _records(lines, *chunk)
    yield from chain.from_iterable(ahead(_batches(lines, chunks, wanted.schema)))


def _batches(
    lines: Lines, chunks: Iterator[tuple[int, bytes]], schema: pa.Schema
) -> Iterator[Sequence[Record | BatchRecord]]:
    """The records of each chunk of lines: one batch, or a list of single ones."""
    for number, chunk in chunks:
        rows = parse(chunk, schema)
        if rows is None:
            yield list(_records(lines, number, chunk))
        else:
            batch = Batch(_where(lines.path), number, rows)
            yield [(batch.place(0), batch)]


def _records(lines: Lines, first: int, chunk: bytes) -> Iterator[Record]:
    """The records of whole lines, whose first has a number."""
    where = _where(lines.path)
    for number, line in lines.split(first, chunk):
        try:
            value = loads(line)
        except ValueError as error:
            if line.strip():
                yield f"{where}{number}", _invalid(lines.text(number, line), error, ONE_A_LINE)
        else:
            yield f"{where}{number}", value if isinstance(value, dict) else _no_object(line, ONE_A_LINE)


def _where(path: Path) -> str:
    return f"{path}, line "


def read_json(path: Path, encoding: str | None, wanted: Wanted) -> Iterator[Record | BatchRecord]:
    """Yield the records of an array of objects, or of one object a line: the first character tells.

    Raises:
        DecantError: the file is broken, not of its encoding, or neither of the two.
    """
    starts = (text.lstrip() for text in decoded(path, as_utf8(path, blocks(path), encoding), UTF_8))
    if next((start for start in starts if start), "").startswith("["):
        yield from _read_array(path, encoding)
        return
    lines = Lines(path, encoding)
    for number, line in lines:
        if text := lines.text(number, line).strip():
            if not text.endswith("}"):
                raise DecantError(f"{path}, line {number}: neither an array of objects nor one object a line", ARRAY)
            break
    yield from read_json_lines(path, encoding, wanted)


def _no_object(text: bytes, remedy: str) -> Unreadable:
    return Unreadable(f"{text.strip()[:200].decode(errors='ignore')[:60]} is not an object", remedy)


def _invalid(text: str, error: ValueError, remedy: str) -> Unreadable:
    if not isinstance(error, orjson.JSONDecodeError):
        return Unreadable(f"not valid JSON ({error})", remedy)
    if constant := _CONSTANT.match(text, error.pos):
        return Unreadable(f"not valid JSON ({constant[0]} is no number there)", "write null, or remove the value")
    return Unreadable(f"not valid JSON ({error.msg}, column {error.colno})", remedy)


def _read_array(path: Path, encoding: str | None) -> Iterator[Record]:
    """The items of an array; one that is no object is unreadable, and what is not JSON ends the file."""
    texts = _Texts(path, decoded(path, as_utf8(path, blocks(path), encoding), UTF_8))
    texts.take("[")
    number = 0
    while texts.peek() != "]":
        if number:
            texts.take(",")
        number += 1
        texts.peek()
        place, text = f"{path}, row {number} (line {texts.line()})", texts.value()
        try:
            value = loads(text.encode())
        except ValueError as error:
            yield place, _invalid(text, error, ARRAY)
        else:
            yield place, value if isinstance(value, dict) else _no_object(text.encode(), ARRAY)
    texts.take("]")
    if texts.peek():
        raise texts.fault("there is more after the end of the array")


class _Texts:
    """The JSON values of a text, one after another; memory holds a block and a value."""

    _NEAR_END = 16  # characters of an escape, or of a name such as -Infinity, that the buffer may cut in two
    _BLANK = re.compile(r"[ \t\r\n]*")
    # It finds where a value ends; numbers stay texts, for `loads` reads the value.
    _ENDS = json.JSONDecoder(parse_int=str, parse_float=str, strict=False)

    def __init__(self, path: Path, blocks: Iterator[str]) -> None:
        self.path, self.blocks = path, blocks
        self.buffer, self.start, self.ends = "", 0, 0

    def line(self) -> int:
        """The number of the line that is read now."""
        return 1 + self.ends + self.buffer.count("\n", 0, self.start)

    def fault(self, problem: str) -> DecantError:
        return DecantError(f"{self.path}, line {self.line()}: {problem}", ARRAY)

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            blank = self._BLANK.match(self.buffer, self.start)
            self.start = blank.end() if blank else self.start
            if self.start < len(self.buffer) or not self._more():
                return self.buffer[self.start : self.start + 1]

    def take(self, character: str) -> None:
        if self.peek() != character:
            raise self.fault(f"not valid JSON ({character!r} is missing)")
        self.start += 1

    def value(self) -> str:
        """The text of the next value."""
        while True:
            try:
                _, end = self._ENDS.raw_decode(self.buffer, self.start)
            except RecursionError as error:
                raise self.fault("not valid JSON (the nesting is too deep)") from error
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos > len(self.buffer) - self._NEAR_END
                if not (cut and self._more()):
                    raise self.fault(f"not valid JSON ({error.msg})") from error
            else:
                if end < len(self.buffer) or not self._more():  # a number may go on
                    text = self.buffer[self.start : end]
                    self.start = end
                    return text

    def _more(self) -> bool:
        """Read on: as much as there is in the buffer, so that a long value is not scanned for every block."""
        self.ends += self.buffer.count("\n", 0, self.start)
        kept = self.buffer[self.start :]
        self.start = 0
        if len(kept) > LONGEST_VALUE:
            raise self.fault(f"a value is longer than {LONGEST_VALUE >> 20} Mi characters")
        parts = [kept]
        for block in self.blocks:
            parts.append(block)
            if sum(map(len, parts)) >= 2 * len(kept) and block:
                break
        self.buffer = "".join(parts)
        return len(self.buffer) > len(kept)
