"""The bytes of a file, plain or compressed."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from decant.errors import DecantError

BLOCK = 1 << 19  # bytes that are read at once
# Lines that differ in a number alone reach 300:1 in gzip and 1,000:1 in Zstandard; zeros reach 1,030:1 and 30,000:1.
LARGEST_RATIO = {"gzip": 500, "zstd": 5000}
UNCHECKED = 64 << 20  # bytes of output below which any ratio passes

FORMATS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}
READ_COMMANDS = {"gzip": "gzip -dc", "zstd": "zstd -dc"}


def compression(path: Path) -> str | None:
    """`gzip` or `zstd` by the file's suffix, or None."""
    return FORMATS.get(path.suffix.lower())


def blocks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in blocks, decompressed if its suffix says so; memory holds one block.

    Raises:
        DecantError: the file is missing or may not be read, its compression is broken, or it expands beyond
            `LARGEST_RATIO`, as a file that is made to fill the memory does.
    """
    kind = compression(path)
    size = ends = 0
    with _open(path) as raw:
        try:
            file = _decompress(raw, kind)
            while block := file.read(BLOCK):
                size += len(block)
                if kind:
                    _check_ratio(path, size, raw.tell(), LARGEST_RATIO[kind])
                    ends += block.count(b"\n")
                yield block
        except (EOFError, OSError, zlib.error, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the file's
                raise
            raise DecantError(
                f"{path}, after line {ends}: broken {kind} ({error})", "compress the file again"
            ) from error


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise DecantError(f"{path}: there is no such file", "correct the path") from error
    except PermissionError as error:
        raise DecantError(f"{path}: the file may not be read", f"allow it: chmod u+r {path}") from error


def _decompress(raw: IO[bytes], kind: str | None) -> Any:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=raw)
    return pa.CompressedInputStream(pa.PythonFile(raw, "r"), kind) if kind else raw


def _check_ratio(path: Path, size: int, compressed: int, largest: int) -> None:
    if size > UNCHECKED and size > largest * compressed:
        raise DecantError(
            f"{path}: it expands more than {largest}:1 ({compressed:,} bytes give {size:,} bytes and more)",
            "decompress the file yourself if you trust it, and name the plain file",
        )
