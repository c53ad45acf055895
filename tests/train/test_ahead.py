"""Batches are read a step ahead in a thread of their own, in the order in which they would come without it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sentence_transformers.base.trainer import BaseTrainer

from decant.train.ahead import ReadsAhead
from tests.support.students import bi_encoder, cross_encoder, train, tuples


def names_of(batches: list[dict[str, Any]]) -> list[Any]:
    return [batch["label"].tolist() for batch in batches]


@pytest.mark.parametrize("make", [bi_encoder, cross_encoder])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_batches_and_the_outcome_are_those_without_the_thread(
    make: Any, accumulate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight n-tuples in batches of three: an epoch ends in a smaller batch, and in a step of fewer batches."""
    changes: dict[str, Any] = {"batch_size": 3, "accumulate": accumulate, "epochs": 2.0, "evaluations": 2}
    served: dict[str, list[Any]] = {"ahead": [], "plain": []}
    threads = set()
    plain, ahead = BaseTrainer.get_batch_samples, ReadsAhead.get_batch_samples

    def noted(kind: str, get: Any) -> Any:
        def call(self: Any, iterator: Iterator[Any], count: int, device: Any) -> Any:
            batches, items = get(self, iterator, count, device)
            served[kind].append(names_of(batches))
            return batches, items

        return call

    def read(self: Any, *arguments: Any) -> Any:
        threads.add(threading.current_thread().name.rpartition("_")[0] or "main")
        return plain(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(BaseTrainer, "get_batch_samples", read)
        patch.setattr(ReadsAhead, "get_batch_samples", noted("ahead", ahead))
        with_thread = train(make(), tmp_path / "ahead", tuples(), **changes)
    with monkeypatch.context() as patch:
        patch.setattr(ReadsAhead, "get_batch_samples", noted("plain", plain))
        without = train(make(), tmp_path / "plain", tuples(), **changes)
    assert served["ahead"] == served["plain"]
    assert with_thread == without
    assert "decant-batches" in threads


def test_an_error_in_the_thread_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = BaseTrainer.get_batch_samples

    def fail(self: Any, *arguments: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            raise OSError("the disk is gone")
        return plain(self, *arguments)

    monkeypatch.setattr(BaseTrainer, "get_batch_samples", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        train(bi_encoder(), tmp_path / "model", tuples())


def test_evaluations_wait_for_the_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer serves one at a time."""
    reading = threading.Event()
    plain = BaseTrainer.get_batch_samples
    overlaps = []

    def slow(self: Any, *arguments: Any) -> Any:
        reading.set()
        try:
            if threading.current_thread() is not threading.main_thread():
                threading.Event().wait(0.3)
            return plain(self, *arguments)
        finally:
            reading.clear()

    monkeypatch.setattr(BaseTrainer, "get_batch_samples", slow)
    model = bi_encoder()
    encode = model.encode

    def watched(*arguments: Any, **options: Any) -> Any:
        overlaps.append(reading.is_set())
        return encode(*arguments, **options)

    monkeypatch.setattr(model, "encode", watched)
    train(model, tmp_path / "model", tuples(), evaluations=4)
    assert overlaps
    assert not any(overlaps)
