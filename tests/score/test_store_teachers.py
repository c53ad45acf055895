"""The teachers of a score store: listed, told apart, locked while a run uses them, pruned."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decant.errors import DecantError
from decant.score.store import Store, read_notes
from decant.score.store.identity import differences, digest
from tests.support.stored import identity, quiet, some_keys


def fill(store: Store, of: dict[str, object], reference: str = "hub:a/b", count: int = 3) -> None:
    with store.open(of, reference) as stored:
        stored.pairs.add(np.concatenate([some_keys(count)] * 2, axis=1), np.zeros(count, dtype=np.float32), {})


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
