"""Draw a track's n-tuples, and those that are replayed, into one file."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from decant.data.scores import files_of, open_scores, rows_of
from decant.errors import DecantError
from decant.files import atomic_file
from decant.triplets.draw import PAIRS, SCHEMA, SET, Draw
from decant.triplets.settings import Triplets
from decant.triplets.strategies import REPLAY


def write_tuples(scores: Path, settings: Triplets, path: Path, seed: int = 0, replay: float = 0.0) -> tuple[Draw, int]:
    """Draw n-tuples from the train split's scores in a folder, and where `replay` says, from the guard set's too.

    Of a union each n-tuple names its set, in the column `set`; replayed ones name none. The file's metadata say whether
    all positives are by label, how many n-tuples at its end are replayed, and how many false negatives were left out
    and relabelled, where they are.

    Args:
        scores: the track's folder.
        settings: of the draw.
        path: of the file.
        seed: of every random choice.
        replay: n-tuples of the guard set for each of the track's; each of its queries gives one at most.

    Returns:
        the draw with its counts, and how many n-tuples are replayed.

    Raises:
        DecantError: no row has enough negatives, there are fewer queries than `settings.queries`, or scores are missing
            or not those of the manifest.
    """
    draw = Draw(settings, seed)
    sets = files_of(scores, "train")
    chosen = _chosen(scores, settings.queries, seed) if settings.queries else {}
    schema = SCHEMA if "" in sets else SCHEMA.append(SET)
    with atomic_file(path) as partial, pq.ParquetWriter(partial, schema, compression="zstd") as file:
        for name, stem in sets.items():
            with open_scores(scores, stem) as pairs:
                read = pairs.iter_batches(PAIRS)
                for batch in draw.batches(_of_rows(read, chosen[stem]) if chosen else read):
                    file.write_batch(_of_set(batch, name) if name else batch)
        counts = {"false_negatives": str(draw.false_negatives)} if settings.finds_false_negatives else {}
        if settings.false_negatives == "relabel":
            counts["relabelled"] = str(draw.relabelled)
        replayed = 0
        if replay:
            table = _replayed(scores, settings.negatives, round(replay * draw.tuples), seed)
            file.write_table(table if "" in sets else _of_set(table, ""))
            replayed = len(table)
            counts["replayed"] = str(replayed)
        file.add_key_value_metadata({"labelled": str(draw.labelled).lower(), **counts})
    return draw, replayed


def _chosen(scores: Path, queries: int, seed: int) -> dict[str, pa.Array]:
    """So many rows of the train split at random, by their file: the first ones of an order that the seed decides."""
    rows = rows_of(scores, "train")
    total = sum(map(len, rows.values()))
    if queries > total:
        raise DecantError(
            f"{scores.name}.triplets.queries is {queries}, and {total} train queries have scores",
            "lower it, or set it to null",
        )
    places = np.sort(np.random.default_rng(seed).permutation(total)[:queries])
    ends = np.cumsum([len(of_file) for of_file in rows.values()])
    parts = np.split(places, np.searchsorted(places, ends[:-1]))
    starts = ends - [len(of_file) for of_file in rows.values()]
    return {
        stem: pa.array(of_file[part - start])
        for (stem, of_file), part, start in zip(rows.items(), parts, starts, strict=True)
    }


def _of_rows(pairs: Iterable[pa.RecordBatch], rows: pa.Array) -> Iterator[pa.RecordBatch]:
    for batch in pairs:
        yield batch.filter(pc.is_in(batch["row"], value_set=rows))


def _replayed(scores: Path, negatives: int, count: int, seed: int) -> pa.Table:
    """So many n-tuples of the guard set at random, or all of them, in the set's order."""
    draw = Draw(Triplets(strategy="teacher_top_k", positives=1, negatives=negatives), seed, REPLAY)
    batches: list[pa.RecordBatch] = []
    for stem in files_of(scores, "replay").values():
        with open_scores(scores, stem) as pairs:
            batches += draw.batches(pairs.iter_batches(PAIRS))
    table = pa.Table.from_batches(batches, SCHEMA)
    chosen = np.random.default_rng(seed).permutation(len(table))[:count]
    return table.take(np.sort(chosen))


def _of_set(tuples: Any, name: str) -> Any:
    """A table or a batch of n-tuples with the name of their set."""
    return tuples.append_column(SET.name, pa.repeat(pa.scalar(name), len(tuples)))
