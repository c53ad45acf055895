"""The lines of a text file of any encoding, plain or compressed."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from decant.data.compression import blocks
from decant.data.encodings import as_utf8, undecodable
from decant.errors import DecantError

LONGEST = 256 << 20  # bytes of a line; a file of one line without an end is no file of lines


class Lines:
    """The lines of a text file as UTF-8, each with its number from 1 and without its end. Only `\\n` ends a line."""

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path = path
        self._blocks = as_utf8(path, blocks(path), encoding)
        self._rest: Iterator[bytes] = iter(())  # of the lines that are read already

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield (number, line); memory holds a block and a line.

        Raises:
            DecantError: a line is too long, or as of `blocks` and `as_utf8`.
        """
        for number, chunk in self.chunks():
            yield from self.split(number, chunk)

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """Yield some whole lines at once, with their ends, and the number of the first; see iteration."""
        number = 1
        parts: list[bytes] = []  # of a line that begins in an earlier block
        for block in self._blocks:
            end = block.rfind(b"\n") + 1
            if not end:
                parts.append(block)
                self._check_length(number, parts)
                continue
            chunk = b"".join([*parts, block[:end]])
            yield number, chunk
            number += int(np.count_nonzero(np.frombuffer(chunk, np.uint8) == ord("\n")))  # faster than `count`
            parts = [block[end:]]
        if line := b"".join(parts):
            yield number, line

    def split(self, number: int, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (number, line) of whole lines that `chunks` gave just now, whose first has a number."""
        whole = chunk.split(b"\n")
        if not whole[-1]:
            whole.pop()
        self._rest = iter(whole)
        for line in self._rest:
            yield number, line
            number += 1

    def text(self, number: int, line: bytes) -> str:
        """A line that was read just now, as a text; a DecantError where it is not UTF-8."""
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            later = (part + b"\n" for part in self._rest)
            raise undecodable(self.path, number, chain([line, b"\n"], later, self._blocks)) from error

    def texts(self) -> Iterator[tuple[int, str]]:
        """Yield (number, text) of each line, with its end; a DecantError as of `text` and of iteration."""
        for number, line in self:
            yield number, self.text(number, line) + "\n"

    def _check_length(self, number: int, parts: list[bytes]) -> None:
        if sum(map(len, parts)) > LONGEST:
            raise DecantError(
                f"{self.path}, line {number}: the line is longer than {LONGEST >> 20} MiB",
                "write one record a line, and end each line",
            )


def lines(path: Path, encoding: str | None = None) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file, plain or compressed, each with its number from 1 and its end.

    Raises:
        DecantError: the file is missing, broken, or not of its encoding; the message names the line.
    """
    return Lines(path, encoding).texts()
