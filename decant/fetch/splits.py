"""Allot groups of texts to splits, so that no text of one split stands in another; and draw from a split."""

import random
from array import array
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from decant.data.sets import ROWS_WRITTEN_AT_ONCE, SPLITS, normalise, read_task
from decant.errors import DecantError

Numbers = npt.NDArray[np.int64]


def allot_groups(group_sizes: Mapping[str, int], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """The split of each group, so that the splits come near their shares.

    Groups that alone outweigh a twentieth of everything, and would otherwise swamp a small split, are taken first, the
    largest before the others; the rest follows in seeded random order. Each goes to the split furthest from its share.

    Args:
        group_sizes: group → number of rows or texts in it.
        shares: split → its share; the proportions count, not the totals.
        seed: of the order in which the groups are taken.
    """
    total = sum(group_sizes.values())
    names = sorted(group_sizes)
    random.Random(seed).shuffle(names)
    names.sort(key=lambda name: -group_sizes[name] if group_sizes[name] * 20 > total else 0)
    wanted = {split: total * shares[split] / sum(shares.values()) for split in SPLITS if shares[split]}
    filled = dict.fromkeys(wanted, 0)
    allotted = {}
    for name in names:
        allotted[name] = split = max(wanted, key=lambda s: (wanted[s] - filled[s]) / wanted[s])
        filled[split] += group_sizes[name]
    return allotted


def sample(rows: int, size: int, seed: int) -> Numbers:
    """The numbers of `size` rows at random, or of all, in ascending order."""
    if size >= rows:
        return np.arange(rows)
    return np.array(sorted(random.Random(seed).sample(range(rows), size)), dtype=np.int64)


def carve(train: Path, sizes: Mapping[str, int], seed: int, source: str) -> None:
    """Carve splits from the train rows, into files beside train's; rows that share a query or a positive stay together.

    Args:
        train: the file of the train split, from which the carved rows are taken out.
        sizes: dev, test or both → about how many rows; groups of related rows may leave a split smaller.
        seed: of the order in which groups are allotted, and of the rows that are drawn where a group exceeds a size.
        source: of the set, for messages.

    Raises:
        DecantError: rows lack labels or negatives, or are too few or too closely related.
    """
    keys = " and ".join(f"`{split}`" for split in sizes)
    groups = _groups(train, f"{source}: {{kind}} cannot serve as {' or '.join(sizes)}", keys)
    rest = len(groups) - sum(sizes.values())
    if rest <= 0:
        wanted = " and ".join(f"{size} {split}" for split, size in sizes.items())
        raise DecantError(
            f"{source}: {len(groups)} train rows are too few to carve {wanted} queries from",
            f"set {keys} to smaller numbers, or name a split or file there",
        )
    names = [f"{number:09d}" for number in groups.tolist()]
    shares = {**dict.fromkeys(SPLITS, 0), **sizes, "train": rest}
    allotted = allot_groups(Counter(names), shares, seed)
    chosen = {split: [n for n, name in enumerate(names) if allotted[name] == split] for split in ("train", *sizes)}
    if empty := [split for split, numbers in chosen.items() if not numbers]:
        raise DecantError(
            f"{source}: nothing is left for {' and '.join(empty)}, since nearly all rows share queries or positives",
            f"name a split or file in {keys}",
        )
    for split, size in sizes.items():
        numbers = np.array(chosen[split], dtype=np.int64)
        _copy_rows(train, numbers[sample(len(numbers), size, seed)], train.with_name(f"{split}.parquet"))
    keep_some(train, np.array(chosen["train"], dtype=np.int64))


def keep_some(path: Path, numbers: Numbers) -> None:
    """Leave in a split the rows of some numbers alone, in their order."""
    whole = path.rename(path.with_name(f"{path.name}.whole"))
    _copy_rows(whole, numbers, path)
    whole.unlink()


def _groups(train: Path, fault: str, keys: str) -> Numbers:
    """Of each row the number of the first row that it is related to, itself included."""
    texts, rows = array("q"), array("q")  # the hash of a query or positive, and the number of its row
    first = 0
    with pq.ParquetFile(train) as file:
        if "positive" not in file.schema_arrow.names:
            raise DecantError(fault.format(kind="unlabelled train rows"), f"name a labelled split or file in {keys}")
        for batch in file.iter_batches(columns=["query", "positive", "negative"]):
            if pc.min(pc.list_value_length(batch["negative"])).as_py() == 0:
                labelled = pc.max(pc.list_value_length(batch["positive"])).as_py() > 0
                kind = "train rows without negatives" if labelled else "unlabelled train rows"
                raise DecantError(fault.format(kind=kind), f"name a labelled split or file in {keys}")
            for number, (query, positive) in enumerate(
                zip(batch["query"].to_pylist(), batch["positive"].to_pylist(), strict=True), start=first
            ):
                for text in (query, *positive):
                    texts.append(hash(normalise(text)))
                    rows.append(number)
            first += len(batch)
    _, place = np.unique(np.array(texts), return_inverse=True)
    size = first + int(place.max(initial=-1)) + 1
    edges = coo_array((np.ones(len(place), dtype=np.int8), (np.array(rows), first + place)), shape=(size, size))
    _, component = connected_components(edges, directed=False)
    _, start, member = np.unique(component[:first], return_index=True, return_inverse=True)
    return start[member]


def _copy_rows(source: Path, numbers: Numbers, target: Path) -> None:
    with pq.ParquetFile(source) as file, pq.ParquetWriter(target, file.schema_arrow, compression="zstd") as writer:
        first, waiting = 0, []
        for batch in file.iter_batches(ROWS_WRITTEN_AT_ONCE):
            low, high = np.searchsorted(numbers, (first, first + len(batch)))
            waiting.append(batch.take(pa.array(numbers[low:high] - first)))
            first += len(batch)
            if sum(map(len, waiting)) >= ROWS_WRITTEN_AT_ONCE:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
        if waiting or not first:
            writer.write_table(pa.Table.from_batches(waiting, file.schema_arrow))
        if prompt := read_task(source).prompt:
            writer.add_key_value_metadata({"prompt": prompt})
