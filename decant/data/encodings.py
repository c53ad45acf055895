"""Text files of any encoding, as UTF-8."""

import codecs
import re
import shlex
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from decant.data.compression import READ_COMMANDS, compression
from decant.data.guesses import SAMPLE, UTF_8, likely
from decant.errors import DecantError

# UTF-32 before UTF-16, whose mark begins that of UTF-32.
MARKS = {
    codecs.BOM_UTF8: UTF_8,
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
SHORT = 256  # bytes of a UTF-16 file that may hold no character of ASCII
EXAMPLES = "utf-8, utf-16, gbk, big5, shift_jis, euc_kr, cp1252"
_NATIVE = {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": UTF_8, "u8": UTF_8}
_WIDE = ("utf-16", "utf-32")
# Latin-1 gives these for bytes that it has no character for; no text holds them.
_CONTROLS = re.compile("[\x80-\x9f]")
_NO_FILES = {"idna", "punycode", "raw_unicode_escape", "unicode_escape", "raw-unicode-escape", "unicode-escape"}


def check_encoding(encoding: str) -> str:
    """Python's name of an encoding's codec.

    Raises:
        DecantError: Python knows no such encoding of texts.
    """
    try:
        codec = codecs.lookup(encoding)
        "a".encode(encoding, "replace")  # refuses codecs that are no encodings of texts, such as base64
        if codec.name in _NO_FILES:
            raise LookupError(codec.name)
    except (LookupError, ValueError) as error:
        raise DecantError(
            f"`encoding` is {encoding!r}, which Python does not know as an encoding of texts",
            f"name one of Python's codecs, such as {EXAMPLES}",
        ) from error
    return _NATIVE.get(codec.name, codec.name)


def as_utf8(path: Path, blocks: Iterator[bytes], encoding: str | None) -> Iterator[bytes]:
    """Yield the blocks of a text file as UTF-8, without a byte-order mark.

    Args:
        path: for messages.
        blocks: the file's bytes.
        encoding: of the file. Without one it is what the byte-order mark says, or else UTF-8, which is not checked
            here: who decodes a line checks it.

    Raises:
        DecantError: the file is not of its encoding; the message names the line and the likely encoding.
    """
    first = next(blocks, b"")
    codec, mark = _choose(path, first, check_encoding(encoding) if encoding else None)
    blocks = chain([first[mark:]], blocks)
    if codec == UTF_8:
        return blocks
    return (text.encode() for text in decoded(path, blocks, codec))


def _choose(path: Path, first: bytes, codec: str | None) -> tuple[str, int]:
    """The codec of a file that begins with `first`, and how many bytes its byte-order mark has."""
    for mark, marked in MARKS.items():
        if first.startswith(mark):
            if codec and codec != marked and not (codec.startswith(_WIDE) and codec[:6] == marked[:6]):
                _refuse(path, codec, f"its first bytes are the mark of {marked}")
            return marked, len(mark)
    if codec and codec.startswith(_WIDE):
        if _zeros(first, 0) not in (codec[-2:], "" if len(first) < SHORT else None):
            _refuse(path, codec, "its zero bytes are not where that encoding has them")
    elif (order := _zeros(first, 0.01)) and first[:2].find(0) == (order == "le"):
        raise DecantError(
            f"{path}: every other byte is zero, so it is likely utf-16-{order} without a byte-order mark",
            f"set `encoding: utf-16-{order}` in the set's block, or save the file as UTF-8",
        )
    elif codec and codec != UTF_8 and likely(first[:SAMPLE]) == UTF_8:
        _refuse(path, codec, "its bytes are valid UTF-8")
    return codec or UTF_8, 0


def _refuse(path: Path, codec: str, reason: str) -> None:
    raise DecantError(
        f"{path}: the file is not {codec}: {reason}", "take `encoding` out of the set's block, or correct it"
    )


def _zeros(first: bytes, share: float) -> str:
    """`le` or `be` where more than a share of the bytes are zero, as those of ASCII are in UTF-16 and UTF-32, or ''."""
    sample = first[:4096]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) <= share * len(sample) or 3 * min(even, odd) > 2 * max(even, odd):
        return ""
    return "le" if odd > even else "be"


def decoded(path: Path, blocks: Iterator[bytes], codec: str) -> Iterator[str]:
    """Yield the texts of a file's blocks; a DecantError as of `as_utf8`."""
    decoder = codecs.getincrementaldecoder(codec)()
    line = 1
    for block in chain(blocks, [b""]):
        try:
            text = decoder.decode(block, not block)
            text.encode()  # some codecs give halves of surrogate pairs
        except UnicodeDecodeError as error:
            line += error.object[: error.start].decode(codec, "ignore").count("\n")
            start = error.object.rfind(b"\n", 0, error.start) + 1
            raise undecodable(path, line, chain([error.object[start:]], blocks), codec) from error
        except UnicodeError as error:
            raise undecodable(path, line, iter([block]), codec) from error
        if codec != UTF_8 and (control := _CONTROLS.search(text)):
            line += text.count("\n", 0, control.start())
            raise undecodable(path, line, chain([block], blocks), codec)
        line += text.count("\n")
        yield text


def undecodable(path: Path, line: int, rest: Iterator[bytes], codec: str = UTF_8) -> DecantError:
    """What to tell of a line that is not of the file's encoding.

    Args:
        path: of the file.
        line: the number of the line.
        rest: the line's bytes, and those that come after it.
        codec: the encoding that the file was read in.
    """
    sample = b""
    for block in rest:
        sample += block[: SAMPLE - len(sample)]
        if len(sample) >= SAMPLE:
            break
    named = "UTF-8" if codec == UTF_8 else codec
    guess = likely(sample)
    if guess == UTF_8:
        return DecantError(
            f"{path}, line {line}: not {named}; the text around it is UTF-8",
            "correct the bytes of this line" if codec == UTF_8 else "take `encoding` out of the set's block",
        )
    if guess is None or guess == codec:
        return DecantError(
            f"{path}, line {line}: not {named}",
            "correct the bytes of this line, save the file as UTF-8, or set `encoding` in the set's block",
        )
    return DecantError(
        f"{path}, line {line}: not {named}; the encoding is likely {guess}",
        f"set `encoding: {guess}` in the set's block, or convert the file: {_conversion(path, guess)}",
    )


def _conversion(path: Path, codec: str) -> str:
    """The command that writes a file anew as UTF-8."""
    kind = compression(path)
    name = path.with_suffix("").name if kind else path.name
    stem, _, suffix = name.rpartition(".")
    target = shlex.quote(str(path.with_name(f"{stem}.utf8.{suffix}")))
    iconv = f"iconv -f {codec.upper().replace('_', '-')} -t UTF-8"
    source = shlex.quote(str(path))
    return f"{READ_COMMANDS[kind]} {source} | {iconv} > {target}" if kind else f"{iconv} {source} > {target}"
