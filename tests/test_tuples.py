"""The trainers read n-tuples from a mapped file, which holds what the n-tuples do and does not stay."""

from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from training_project import TrainingProject

from decant.triplets import SCHEMA
from decant.tuples import TuplesInfo, arrow_file, open_dataset, trainer_columns, tuples_info
from stages.train import main


def table(count: int, negatives: int = 3) -> pa.Table:
    rows = [
        {
            "query": f"query {number}",
            "positive": f"positive {number}",
            "negatives": [f"negative {number}.{place}" for place in range(negatives)],
            "scores": [number / 7 + place for place in range(1 + negatives)],
        }
        for number in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def expected(tuples: pa.Table, scale: float) -> list[dict[str, object]]:
    return [
        {
            "query": row["query"],
            "positive": row["positive"],
            **{f"negative_{place}": text for place, text in enumerate(row["negatives"], start=1)},
            "label": [float(np.float32(score) * np.float32(scale)) for score in row["scores"]],
        }
        for row in tuples.to_pylist()
    ]


@pytest.mark.parametrize("scale", [1.0, 12.3])
@pytest.mark.parametrize("negatives", [1, 3])
def test_the_trainers_find_every_tuple_in_any_order(
    scale: float, negatives: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decant.tuples.BATCH", 7)
    tuples = table(40, negatives)
    pq.write_table(tuples, tmp_path / "track.parquet", row_group_size=11)
    rows = expected(tuples, scale)
    with arrow_file(tmp_path / "track.parquet", scale) as path:
        dataset = open_dataset(path)
        assert len(dataset) == 40
        assert dataset.column_names == list(rows[0])  # in this order the losses want them
        order = np.random.default_rng(0).permutation(40).tolist()
        for start in range(0, 40, 16):
            batch = order[start : start + 16]
            assert dataset.__getitems__(batch) == [rows[number] for number in batch]
        assert dataset[:3]["label"] == [row["label"] for row in rows[:3]]


def test_a_dataset_from_the_file_is_the_one_in_memory_to_the_type(tmp_path: Path) -> None:
    (batch,) = table(5).to_batches()
    in_memory = Dataset(pa.Table.from_batches([trainer_columns(batch, 2.0)]))
    pq.write_table(table(5), tmp_path / "track.parquet")
    with arrow_file(tmp_path / "track.parquet", 2.0) as path:
        mapped = open_dataset(path)
        assert mapped.features == in_memory.features
        assert mapped[:] == in_memory[:]


def test_the_file_is_mapped_and_not_read(tmp_path: Path) -> None:
    pq.write_table(table(20_000), tmp_path / "track.parquet")
    before = pa.total_allocated_bytes()
    with arrow_file(tmp_path / "track.parquet", 1.0) as path:
        dataset = open_dataset(path)
        assert path.stat().st_size > 2_000_000
        assert dataset[19_999]["query"] == "query 19999"
        assert pa.total_allocated_bytes() - before < 100_000
        assert [Path(file["filename"]) for file in dataset.cache_files] == [path]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 9), st.integers(1, 10), st.sampled_from([1.0, 0.1, 15.0]))
def test_a_slice_of_a_batch_is_all_that_counts(start: int, length: int, scale: float) -> None:
    tuples = table(10)
    (batch,) = tuples.to_batches()
    columns = trainer_columns(batch.slice(start, length), scale)
    columns.validate(full=True)
    assert columns.to_pylist() == expected(tuples, scale)[start : start + length]


def test_the_scale_of_one_changes_no_bit() -> None:
    scores = np.array([np.nan, -0.0, 1e-45, np.finfo(np.float32).max], np.float32)
    lists = pa.ListArray.from_arrays(pa.array([0, 4], pa.int32()), pa.array(scores))
    texts = pa.array([["a", "b", "c"]])
    batch = pa.record_batch([pa.array(["q"]), pa.array(["p"]), texts, lists], schema=SCHEMA)
    assert trainer_columns(batch, 1.0)["label"].values.to_numpy().tobytes() == scores.tobytes()


def test_the_file_goes_at_the_end_and_on_failure(tmp_path: Path) -> None:
    source = tmp_path / "track.parquet"
    pq.write_table(table(3), source)
    with arrow_file(source, 1.0) as path:
        assert path.is_file()
        path.write_bytes(b"what a killed training left")
    with arrow_file(source, 1.0) as path:
        dataset = open_dataset(path)
        assert len(dataset) == 3
    assert list(tmp_path.iterdir()) == [source]
    assert dataset[2]["query"] == "query 2"  # what is mapped stays until the last process has let it go
    with pytest.raises(ZeroDivisionError), arrow_file(source, 1.0):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == [source]
    source.write_bytes(source.read_bytes()[:-9])
    with pytest.raises(pa.ArrowInvalid), arrow_file(source, 1.0):
        pass
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("labelled", ["true", "false", None])
def test_a_file_says_what_it_holds(labelled: str | None, tmp_path: Path) -> None:
    """Whether its writer knew at the start or, as the stage does, at the end."""
    path = tmp_path / "track.parquet"
    metadata = {} if labelled is None else {"labelled": labelled}
    pq.write_table(table(3).replace_schema_metadata(metadata), path)
    assert tuples_info(path) == TuplesInfo(3, labelled == "true")
    with pq.ParquetWriter(path, SCHEMA) as file:
        file.write_table(table(4))
        file.add_key_value_metadata(metadata)
    assert tuples_info(path) == TuplesInfo(4, labelled == "true")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        tuples_info(tmp_path / "track.parquet")
    assert str(caught.value) == str(tmp_path / "track.parquet")


@pytest.mark.parametrize("track", ["embedding", "reranker"])
def test_only_the_rerankers_scores_are_scaled(track: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = TrainingProject(tmp_path, 0.0)
    project.params["reranker"]["loss"]["teacher_scale"] = 7.5
    project.set()
    asked: list[float] = []

    def record(_: Path, scale: float) -> NoReturn:
        asked.append(scale)
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stages.train.arrow_file", record)
    with pytest.raises(KeyboardInterrupt):
        main(track)
    assert asked == [7.5 if track == "reranker" else 1.0]


def test_the_stage_leaves_no_file_beside_the_tuples_when_it_fails(tmp_path: Path) -> None:
    project = TrainingProject(tmp_path, 0.0)
    folder = tmp_path / "data/triplets"
    before = sorted(folder.iterdir())
    (tmp_path / "data/sets" / project.params["reranker"]["in_domain"] / "dev.parquet").unlink()
    assert "the split is not there" in project.train("reranker", code=1)
    assert sorted(folder.iterdir()) == before
