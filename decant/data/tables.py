"""Records of the columnar formats: Parquet and Arrow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from decant.data.records import Record
from decant.errors import DecantError

ROWS_AT_ONCE = 1024
BUFFER = 1 << 20  # bytes of a column
_FILE_MAGIC = b"ARROW1"  # of Arrow's file format; its stream format has no magic


def read_parquet(path: Path) -> Iterator[Record]:
    """Yield a Parquet file's rows, batch by batch, as Python values; a DecantError where it is broken."""

    def batches() -> Iterator[Any]:
        # A buffer before reading would hold the whole file.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER) as file:
            yield from file.iter_batches(ROWS_AT_ONCE)

    return _records(path, "Parquet", batches())


def read_arrow(path: Path) -> Iterator[Record]:
    """Yield the rows of Arrow's file format (Feather) or stream format, as `read_parquet` does."""

    def batches() -> Iterator[Any]:
        with pa.memory_map(str(path)) as source:
            if source.read(len(_FILE_MAGIC)) == _FILE_MAGIC:
                with pa.ipc.open_file(source) as file:
                    yield from (file.get_batch(number) for number in range(file.num_record_batches))
                return
            source.seek(0)
            with pa.ipc.open_stream(source) as stream:
                yield from stream

    return _records(path, "Arrow", batches())


def _records(path: Path, kind: str, batches: Iterator[Any]) -> Iterator[Record]:
    number = 0
    try:
        for batch in batches:
            batch.validate(full=True)  # a damaged batch would crash the process when its values are read
            if repeated := {name for name in batch.schema.names if batch.schema.names.count(name) > 1}:
                fault = f"{path}: two columns are named {' and '.join(sorted(repeated))}"
                raise DecantError(fault, "rename or remove one of them")
            for start in range(0, len(batch), ROWS_AT_ONCE):
                for record in batch.slice(start, ROWS_AT_ONCE).to_pylist():
                    number += 1
                    yield f"{path}, row {number}", record
    except (pa.ArrowException, OSError, ValueError, KeyError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the file's
            raise
        raise DecantError(f"{path}, after row {number}: not valid {kind} ({error})", "write the file again") from error
