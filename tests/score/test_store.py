"""The score store from within: keys, shards, teachers, locks."""

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decant.data import sets as dataset
from decant.data.digests import WIDTH, as_binary, digests, first_occurrences, in_context, pair_keys
from decant.data.sets import Row, Split, read_rows, read_split, stream_pairs, write_split
from decant.errors import DecantError
from decant.score.output import write_scores
from decant.score.prompts import CrossEncoderPrompts
from decant.score.store import Store, read_notes
from decant.score.store.complete import SplitScores
from decant.score.store.identity import differences, digest
from decant.score.store.shards import Shards
from decant.sources.references import resolve
from tests.support import tiny_models as tiny

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


def some(count: int, start: int = 0) -> np.ndarray:
    return digests(pa.array([f"text {number}" for number in range(start, start + count)]))


def quiet(_: str) -> None:
    pass


@pytest.mark.parametrize("shape", [(), (5,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_values_come_back_as_they_were(shape: tuple[int, ...], dtype: type, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shards = Shards(tmp_path / "x", quiet)
    assert shards.find(some(3)).tolist() == [-1, -1, -1]
    kept = [rng.normal(size=(count, *shape)).astype(dtype) for count in (7, 1, 30)]
    for start, values in zip((0, 7, 8), kept, strict=True):
        shards.add(some(len(values), start), values, {"engine": f"e{start}"})
    joined = np.concatenate(kept)
    for stored in (shards, Shards(tmp_path / "x", quiet)):  # as it was written, and read anew
        wanted = rng.permutation(np.concatenate([np.arange(38), np.arange(10)]))
        positions = stored.find(some(38)[wanted])
        out = np.empty((len(wanted), *shape), dtype=dtype)
        stored.values(positions, out)
        assert out.tobytes() == joined[wanted].tobytes()
        assert stored.find(some(40))[38:].tolist() == [-1, -1]
        assert len(stored) == 38
        assert stored.origins(stored.find(some(9))) == {
            '{"engine": "e0"}': 7,
            '{"engine": "e7"}': 1,
            '{"engine": "e8"}': 1,
        }
        assert stored.have(stored.find(some(9)), "engine").all()
        assert not stored.have(stored.find(some(9)), "imported").any()
    assert Shards.count(tmp_path / "x") == 38


def test_a_shard_is_named_by_its_bytes_and_large_ones_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decant.score.store.shards.LARGEST", 10)
    shards = Shards(tmp_path, quiet)
    shards.add(some(25), np.arange(25, dtype=np.float32), {})
    paths = list(tmp_path.glob("*"))
    assert len(paths) == 3
    for path in paths:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
        assert pq.read_schema(path).names == ["key", "value"]
    assert Shards(tmp_path, quiet).find(some(25)).min() == 0


def test_a_damaged_file_and_a_half_written_one_are_not_read(tmp_path: Path) -> None:
    shards = Shards(tmp_path, quiet)
    shards.add(some(5), np.arange(5, dtype=np.float32), {})
    shards.add(some(5, 5), np.arange(5, dtype=np.float32), {})
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
        shards.add(some(5), np.arange(5, dtype=np.float32), {})
    assert list(tmp_path.iterdir()) == []
    assert shards.find(some(1)).tolist() == [-1]


def identity(**changed: object) -> dict[str, object]:
    return {"kind": "causal_lm", "model": "m", "max_length": 10, "prompts": {"pair": "x"}, **changed}


def fill(store: Store, of: dict[str, object], reference: str = "hub:a/b", count: int = 3) -> None:
    with store.open(of, reference) as stored:
        stored.pairs.add(np.concatenate([some(count)] * 2, axis=1), np.zeros(count, dtype=np.float32), {})


def test_teachers_are_listed_apart_and_pruned_by_name_or_model(tmp_path: Path) -> None:
    store = Store(tmp_path, quiet)
    assert store.teachers() == []
    for of, reference in (
        (identity(), "hub:a/b"),
        (identity(max_length=20), "hub:a/b"),
        (identity(model="n"), "hub:c/d"),
    ):
        fill(store, of, reference)
    assert {(teacher.reference, teacher.pairs) for teacher in store.teachers()} == {("hub:a/b", 3), ("hub:c/d", 3)}
    assert all(teacher.bytes > 300 for teacher in store.teachers())
    near = store.near(identity(max_length=30), "hub:a/b")
    assert near is not None
    assert list(near[1]) == ["max_length"]
    assert near[1]["max_length"][1] == 30
    assert store.near(identity(), "hub:x/y") is None

    [gone] = store.prune(digest(identity(max_length=20)))
    assert gone.identity["max_length"] == 20
    assert len(store.teachers()) == 2
    assert len(store.prune("hub:a/b")) == 1
    assert [teacher.reference for teacher in store.teachers()] == ["hub:c/d"]
    with pytest.raises(DecantError, match="no teacher is named 'hub:a/b'"):
        store.prune("hub:a/b")


def hold(folder: Path, ready: object, go_on: object) -> None:
    with Store(folder, quiet).open(identity(), "m"):
        ready.set()
        go_on.wait(120)


def in_another_process(folder: Path, meanwhile: Callable[[], None]) -> None:
    context = multiprocessing.get_context("fork")  # which has done the imports; it holds none of this process's locks
    ready, go_on = context.Event(), context.Event()
    process = context.Process(target=hold, args=(folder, ready, go_on))
    process.start()
    assert ready.wait(120)
    try:
        meanwhile()
    finally:
        go_on.set()
        process.join(30)


def test_a_teacher_in_use_is_not_pruned_and_another_one_is(tmp_path: Path) -> None:
    store = Store(tmp_path, quiet)
    fill(store, identity())
    fill(store, identity(model="n"), "n")

    def meanwhile() -> None:
        with pytest.raises(DecantError, match="a run is using this teacher's scores"):
            store.prune(digest(identity()))
        store.prune("n")

    in_another_process(tmp_path, meanwhile)
    assert len(store.teachers()) == 1
    store.prune(digest(identity()))  # the lock went with the process
    assert store.teachers() == []


def test_where_one_of_a_models_teachers_is_in_use_none_is_pruned(tmp_path: Path) -> None:
    store = Store(tmp_path, quiet)
    for length in range(10, 14):
        fill(store, identity(max_length=length), "m")
    before = store.teachers()
    assert before[0].name < digest(identity())  # the one in use comes after another

    def meanwhile() -> None:
        with pytest.raises(DecantError, match="a run is using this teacher's scores"):
            store.prune("m")

    in_another_process(tmp_path, meanwhile)
    assert store.teachers() == before


def test_files_that_others_rename_or_remove_meanwhile_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path, quiet)
    fill(store, identity())
    fill(store, identity(model="n"))
    [shard] = (tmp_path / digest(identity())).glob("pairs/*.parquet")
    shard.with_name(".x.partial").write_bytes(b"PAR1")
    glob, walk = Path.glob, os.walk

    def then_gone(found: Iterator[Any]) -> Iterator[Any]:
        listed = list(found)
        for path in (shard, shard.with_name(".x.partial")):
            path.unlink(missing_ok=True)
        return iter(listed)

    monkeypatch.setattr("decant.score.store.shards.Path.glob", lambda *given: then_gone(glob(*given)))
    monkeypatch.setattr("decant.score.store.os.walk", lambda *given: then_gone(walk(*given)))
    assert sorted(teacher.pairs for teacher in store.teachers()) == [0, 3]
    near = store.near(identity(max_length=30), "hub:a/b")
    assert near is not None
    assert near[0].pairs == 3


def test_a_prune_that_was_killed_leaves_no_teacher_in_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path, quiet)
    for of in (identity(), identity(model="n")):
        fill(store, of, str(of["model"]))
    with monkeypatch.context() as killed:
        killed.setattr("decant.score.store.shutil.rmtree", lambda *_, **__: None)
        store.prune("m")
    assert list(tmp_path.glob(".*.pruned"))
    assert [teacher.reference for teacher in store.teachers()] == ["n"]
    with pytest.raises(DecantError, match="no teacher is named 'm'"):
        store.prune("m")
    assert not list(tmp_path.glob(".*.pruned"))


def test_who_only_reads_changes_nothing(tmp_path: Path) -> None:
    told: list[str] = []
    store = Store(tmp_path / "store", told.append)
    assert len(store.read(identity()).pairs) == 0
    assert not (tmp_path / "store").exists()
    fill(store, identity())
    [shard] = tmp_path.rglob("*.parquet")
    shard.with_name(".x.partial").write_bytes(b"PAR1")
    assert len(store.read(identity()).pairs) == 3
    shard.write_bytes(shard.read_bytes()[:-1])
    before = sorted(tmp_path.rglob("*"))
    assert len(store.read(identity()).pairs) == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert told == [f"{shard}: the file is damaged (SHA-256 differs); its scores do not count"]


def test_a_damaged_description_is_written_anew(tmp_path: Path) -> None:
    store = Store(tmp_path, quiet)
    fill(store, identity())
    [path] = tmp_path.glob("*/teacher.json")
    path.write_text(path.read_text()[:20])
    assert store.teachers() == []
    with store.open(identity(), "hub:a/b") as stored:
        stored.note("cost", "x", {"y": 1})
        assert read_notes(stored.folder, "cost") == {"x": {"y": 1}}
        stored.note("cost", "z", {"y": 2})
        (stored.folder / "notes.json").write_text("{")
        assert read_notes(stored.folder, "cost") == {}
    assert [teacher.pairs for teacher in store.teachers()] == [3]


def test_differences_name_what_changed() -> None:
    assert differences(identity(), identity(max_length=4, new=1)) == {"max_length": (10, 4), "new": (None, 1)}
    assert digest(identity()) != digest(identity(max_length=4))
    assert digest(identity()) == digest(dict(reversed(identity().items())))


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
        described = write_scores(split, tmp_path / "out.parquet")
    assert (described["pairs"], described["queries"], described["quarantined"]) == (500, 250, 0)
    assert described["origins"] == [{"engine": "e", "pairs": 500}]
    written = pq.read_table(tmp_path / "out.parquet")
    assert written["score"].to_pylist()[:4] == [*scores[:2], *scores[:2]]
    assert written["score"].to_pylist()[-1] == scores[-1]


def test_binary_keys_are_the_same_bytes() -> None:
    keys = some(4)
    assert [value.as_py() for value in as_binary(keys[::2])] == [key.tobytes() for key in keys[::2]]
