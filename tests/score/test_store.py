"""The score store from within: keys, shards, and the pairs that are looked up."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.data import sets as dataset
from decant.data.digests import WIDTH, as_binary, digests, first_occurrences, in_context, pair_keys
from decant.data.pairs import stream_pairs
from decant.data.sets import Row, Split, read_rows, read_split, write_split
from decant.score.output import write_scores
from decant.score.prompts import CrossEncoderPrompts
from decant.score.store import Store
from decant.score.store.complete import SplitScores
from decant.score.store.shards import Shards
from decant.sources.references import resolve
from tests.support import tiny_models as tiny
from tests.support.stored import identity, quiet, some_keys

FUZZ = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)


@FUZZ
@given(st.lists(TEXTS, min_size=1, max_size=20))
def test_a_key_is_the_texts_own_digest(texts: list[str]) -> None:
    keys = digests(pa.array(texts))
    assert [key.tobytes() for key in keys] == [hashlib.blake2b(t.encode(), digest_size=WIDTH).digest() for t in texts]


def test_keys_tell_texts_contexts_and_sides_apart() -> None:
    keys = digests(pa.array(["a", "b", "a", "ab", "a\0", "é", "e\u0301"]))
    assert len({key.tobytes() for key in keys}) == 6
    asked = in_context(keys, "Instruct: x\nQuery:")
    assert not (asked == keys).all(axis=1).any()
    assert (in_context(asked, "Instruct: x\nQuery:") == keys).all()  # it is its own inverse
    assert not (in_context(keys, "one") == in_context(keys, "two")).all(axis=1).any()
    a, b = keys[:1], keys[1:2]
    assert (pair_keys(a, b) != pair_keys(b, a)).any()
    assert pair_keys(a, b).shape == (1, 2 * WIDTH)


@FUZZ
@given(st.lists(st.integers(0, 9), max_size=40))
def test_first_occurrences(numbers: list[int]) -> None:
    keys = np.zeros((len(numbers), WIDTH), dtype=np.uint8)
    keys[:, 3] = numbers
    expected = [index for index, number in enumerate(numbers) if number not in numbers[:index]]
    assert first_occurrences(keys).tolist() == expected


@pytest.mark.parametrize("shape", [(), (5,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_values_come_back_as_they_were(shape: tuple[int, ...], dtype: type, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shards = Shards(tmp_path / "x", quiet)
    assert shards.find(some_keys(3)).tolist() == [-1, -1, -1]
    kept = [rng.normal(size=(count, *shape)).astype(dtype) for count in (7, 1, 30)]
    for start, values in zip((0, 7, 8), kept, strict=True):
        shards.add(some_keys(len(values), start), values, {"engine": f"e{start}"})
    joined = np.concatenate(kept)
    for stored in (shards, Shards(tmp_path / "x", quiet)):  # as it was written, and read anew
        wanted = rng.permutation(np.concatenate([np.arange(38), np.arange(10)]))
        positions = stored.find(some_keys(38)[wanted])
        out = np.empty((len(wanted), *shape), dtype=dtype)
        stored.values(positions, out)
        assert out.tobytes() == joined[wanted].tobytes()
        assert stored.find(some_keys(40))[38:].tolist() == [-1, -1]
        assert len(stored) == 38
        assert stored.origins(stored.find(some_keys(9))) == {
            '{"engine": "e0"}': 7,
            '{"engine": "e7"}': 1,
            '{"engine": "e8"}': 1,
        }
        assert stored.have(stored.find(some_keys(9)), "engine").all()
        assert not stored.have(stored.find(some_keys(9)), "imported").any()
    assert Shards.count(tmp_path / "x") == 38


def test_a_shard_is_named_by_its_bytes_and_large_ones_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decant.score.store.shards.LARGEST", 10)
    shards = Shards(tmp_path, quiet)
    shards.add(some_keys(25), np.arange(25, dtype=np.float32), {})
    paths = list(tmp_path.glob("*"))
    assert len(paths) == 3
    for path in paths:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
        assert pq.read_schema(path).names == ["key", "value"]
    assert Shards(tmp_path, quiet).find(some_keys(25)).min() == 0


def test_a_damaged_file_and_a_half_written_one_are_not_read(tmp_path: Path) -> None:
    shards = Shards(tmp_path, quiet)
    shards.add(some_keys(5), np.arange(5, dtype=np.float32), {})
    shards.add(some_keys(5, 5), np.arange(5, dtype=np.float32), {})
    (tmp_path / ".abc.partial").write_bytes(b"PAR1")
    broken = sorted(tmp_path.glob("*.parquet"))[0]
    broken.write_bytes(broken.read_bytes()[:-1])
    told: list[str] = []
    again = Shards(tmp_path, told.append)
    assert len(again) == 5
    assert len(told) == 1
    assert str(broken) in told[0]
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".broken", ".parquet"]


def test_nothing_is_left_of_a_write_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = Shards(tmp_path, quiet)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("decant.score.store.shards.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        shards.add(some_keys(5), np.arange(5, dtype=np.float32), {})
    assert list(tmp_path.iterdir()) == []
    assert shards.find(some_keys(1)).tolist() == [-1]


ROWS = st.lists(
    st.builds(Row, TEXTS, st.lists(TEXTS, max_size=3), st.lists(TEXTS, max_size=4)).filter(lambda row: row.labelled),
    min_size=1,
    max_size=12,
)


@FUZZ
@given(ROWS, st.booleans())
def test_pairs_stream_as_the_rows_have_them(tmp_path: Path, rows: list[Row], unlabelled: bool) -> None:
    if unlabelled:
        rows = [Row(row.query, unlabelled=[*row.candidates, "x"]) for row in rows]
    path = tmp_path / "split.parquet"
    write_split(path, Split(rows, "a task"))
    before, dataset.ROWS_AT_ONCE = dataset.ROWS_AT_ONCE, 3
    try:
        batches = list(stream_pairs(path))
        some_rows = read_rows(path, {0, 2, 5, 99})
    finally:
        dataset.ROWS_AT_ONCE = before
    found = [tuple(pair.values()) for batch in batches for pair in batch.to_pylist()]
    assert found == [
        (number, row.query, text, label)
        for number, row in enumerate(rows)
        for text, label in zip(row.candidates, row.labels, strict=True)
    ]
    assert some_rows == Split([row for number, row in enumerate(rows) if number in {0, 2, 5}], "a task")
    assert read_split(path) == Split(rows, "a task")


def test_a_pair_that_comes_again_counts_once(tmp_path: Path) -> None:
    """Of 200 repetitions of one row, whose two scores would else be taken for saturated."""
    rows = [Row("query", ["positive"], ["negative"])] * 200 + [Row(f"q{n}", [f"p{n}"], [f"n{n}"]) for n in range(50)]
    write_split(tmp_path / "train.parquet", Split(rows, ""))
    prompts = CrossEncoderPrompts(resolve(tiny.MINILM), 128)
    with Store(tmp_path / "store", quiet).open(identity(), "m") as stored:
        split = SplitScores(tmp_path / "train.parquet", prompts, stored)
        assert (split.missing, split.unread, split.unique_texts) == (500, 102, 153)
        assert [len(items) for _, items in split.shards(40)] == [40, 40, 22]
        keys = np.concatenate([keys for keys, _ in split.shards(40)])
        scores = np.random.default_rng(0).normal(size=102).astype(np.float32)
        scores[::2] += 3  # the positives
        stored.pairs.add(keys[:101], scores[:101], {"engine": "e"})
        split.look()
        assert (split.missing, split.unread) == (1, 1)
        stored.pairs.add(keys[101:], scores[101:], {"engine": "e"})
        split.look()
        assert sorted(split.distinct(split.scores())) == sorted(scores)
        described = write_scores(split, split.scores(), tmp_path / "out.parquet")
    assert (described["pairs"], described["queries"], described["quarantined"]) == (500, 250, 0)
    assert described["origins"] == [{"engine": "e", "pairs": 500}]
    written = pq.read_table(tmp_path / "out.parquet")
    assert written["score"].to_pylist()[:4] == [*scores[:2], *scores[:2]]
    assert written["score"].to_pylist()[-1] == scores[-1]


def test_binary_keys_are_the_same_bytes() -> None:
    keys = some_keys(4)
    assert [value.as_py() for value in as_binary(keys[::2])] == [key.tobytes() for key in keys[::2]]
