"""Put a set together from others: their train rows in proportion, all of their dev and test rows."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, permutations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from decant.data.corpus import CORPUS, read_corpus, write_corpus
from decant.data.sets import SPLITS, SplitWriter, read_task, stream_rows
from decant.data.tasks import Task
from decant.errors import DecantError
from decant.fetch.build import check_overlap, describe, fetch_set
from decant.fetch.overlap import overlap, overlaps
from decant.fetch.settings import DataSet, Union
from decant.fetch.splits import keep_some, sample
from decant.files import atomic_folder, write_json


def fetch_union(name: str, union: Union, datasets: Mapping[str, DataSet], folder: Path) -> dict[str, Any]:
    """Build the sets of a union and put their rows together in `folder`, all or nothing; return the card.

    The rows of a set follow one another, in the order of the union's sets, and each names its set.

    Raises:
        DecantError: as `decant.fetch.build.fetch_set`, or the sets do not fit together, or overlap too much.
    """
    with atomic_folder(folder) as partial, tempfile.TemporaryDirectory(dir=folder.parent, prefix=".union-") as scratch:
        sets = {member: Path(scratch) / member for member in union.union}
        cards = {member: fetch_set(member, datasets[member], path) for member, path in sets.items()}
        found = {member: card["splits"]["train"]["queries"] for member, card in cards.items()}
        for member, count in union.shares(found).items():
            if count < found[member]:
                keep_some(sets[member] / "train.parquet", sample(found[member], count, union.seed))
        for split in SPLITS:
            files = {member: path / f"{split}.parquet" for member, path in sets.items()}
            _check_labels(name, split, files)
            _join(files, partial / f"{split}.parquet")
        if any("corpus" in card for card in cards.values()):
            corpora = (read_corpus(path / "corpus.parquet") for path in sets.values())
            write_corpus(partial / "corpus.parquet", chain.from_iterable(_documents(corpus) for corpus in corpora))
        between = {
            f"{one} → {other}": {
                f"train-{split}": counts
                for split, counts in overlap(
                    sets[one] / "train.parquet", sets[other] / "dev.parquet", sets[other] / "test.parquet"
                ).items()
            }
            for one, other in permutations(sets, 2)
        }
        shared = overlaps({split: partial / f"{split}.parquet" for split in SPLITS})
        check_overlap(f"unions.{name}", union.max_overlap, shared)
        card = {
            "name": name,
            "union": dict(union.union),
            "splits": {split: describe(partial / f"{split}.parquet") for split in SPLITS},
            "rows": {
                split: {member: pq.read_metadata(path / f"{split}.parquet").num_rows for member, path in sets.items()}
                for split in SPLITS
            },
            "overlap": shared,
            "overlap_between": between,
            "sets": cards,
        }
        write_json(partial / "card.json", card)
    return card


def _documents(corpus: pa.Table) -> Iterator[tuple[str, str]]:
    for batch in corpus.to_batches():
        yield from zip(*(batch.column(name).to_pylist() for name in CORPUS.names), strict=True)


def _check_labels(name: str, split: str, files: Mapping[str, Path]) -> None:
    labelled = {member: "candidates" not in pq.read_schema(path).names for member, path in files.items()}
    if len(set(labelled.values())) > 1:
        without = " and ".join(member for member, there in labelled.items() if not there)
        raise DecantError(
            f"unions.{name}: the {split} rows of {without} have no labels, unlike those of its other sets",
            "make a union of labelled sets, or of unlabelled ones",
        )


def _join(files: Mapping[str, Path], path: Path) -> None:
    task = Task("", sets={member: read_task(file) for member, file in files.items()})
    with SplitWriter(path, task) as writer:
        for member, file in files.items():
            for row in stream_rows(file):
                writer.write(replace(row, set=member))
