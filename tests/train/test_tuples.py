"""The trainers read n-tuples from a mapped file, which holds what the n-tuples do and does not stay."""

import struct
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from decant.errors import DecantError
from decant.train.columns import TuplesInfo, arrow_file, trainer_columns, tuples_info, unpack
from decant.triplets.draw import SCHEMA
from tests.support.training_project import TrainingProject


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


def name(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=16).digest()[:8], "little", signed=True)


def expected(tuples: pa.Table, labelled: int) -> list[dict[str, object]]:
    """The trainers' rows, the first so many of them labelled."""
    rows = []
    for number, row in enumerate(tuples.to_pylist()):
        texts = [row["query"], row["positive"], *row["negatives"]]
        bits = [struct.unpack("i", struct.pack("f", score))[0] for score in row["scores"]]
        columns = ["query", "positive", *(f"negative_{place}" for place in range(1, len(texts) - 1))]
        label = [int(number < labelled), *map(name, texts), *bits]
        rows.append({**dict(zip(columns, texts, strict=True)), "label": label})
    return rows


def write(tuples: pa.Table, path: Path, *, labelled: bool = True, replayed: int = 0, **how: int) -> None:
    told = {"labelled": str(labelled).lower(), "replayed": str(replayed)}
    pq.write_table(tuples.replace_schema_metadata(told), path, **how)


@pytest.mark.parametrize("negatives", [1, 3])
@pytest.mark.parametrize(
    "told, labelled",
    [({}, 40), ({"replayed": 12}, 28), ({"labelled": False}, 0), ({"labelled": False, "replayed": 12}, 0)],
    ids=["labelled", "replayed", "unlabelled", "unlabelled and replayed"],
)
def test_the_trainers_find_every_tuple_in_any_order(
    told: dict[str, bool | int], labelled: int, negatives: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its label says whether it has one: replayed n-tuples have none."""
    monkeypatch.setattr("decant.train.columns.BATCH", 7)
    tuples = table(40, negatives)
    write(tuples, tmp_path / "track.parquet", row_group_size=11, **told)
    rows = expected(tuples, labelled)
    with arrow_file(tmp_path / "track.parquet") as path:
        dataset = Dataset.from_file(str(path))
        assert len(dataset) == 40
        assert dataset.column_names == list(rows[0])  # in this order the losses want them
        order = np.random.default_rng(0).permutation(40).tolist()
        for start in range(0, 40, 16):
            batch = order[start : start + 16]
            assert dataset.__getitems__(batch) == [rows[number] for number in batch]
        assert dataset[:3]["label"] == [row["label"] for row in rows[:3]]


def test_a_dataset_from_the_file_is_the_one_in_memory_to_the_type(tmp_path: Path) -> None:
    (batch,) = table(5).to_batches()
    in_memory = Dataset(pa.Table.from_batches([trainer_columns(batch, np.ones(5, dtype=bool))]))
    write(table(5), tmp_path / "track.parquet")
    with arrow_file(tmp_path / "track.parquet") as path:
        mapped = Dataset.from_file(str(path))
        assert mapped.features == in_memory.features
        assert mapped[:] == in_memory[:]


def test_the_file_is_mapped_and_not_read(tmp_path: Path) -> None:
    pq.write_table(table(20_000), tmp_path / "track.parquet")
    before = pa.total_allocated_bytes()
    with arrow_file(tmp_path / "track.parquet") as path:
        dataset = Dataset.from_file(str(path))
        assert path.stat().st_size > 2_000_000
        assert dataset[19_999]["query"] == "query 19999"
        assert pa.total_allocated_bytes() - before < 100_000
        assert [Path(file["filename"]) for file in dataset.cache_files] == [path]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 9), st.integers(1, 10), st.integers(0, 10))
def test_a_slice_of_a_batch_is_all_that_counts(start: int, length: int, labelled: int) -> None:
    tuples = table(10)
    (batch,) = tuples.to_batches()
    part = batch.slice(start, length)
    columns = trainer_columns(part, np.arange(start, start + len(part)) < labelled)
    columns.validate(full=True)
    assert columns.to_pylist() == expected(tuples, labelled)[start : start + length]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data(), st.integers(1, 4), st.integers(1, 3))
def test_what_is_packed_comes_out_to_the_bit(data: st.DataObject, count: int, negatives: int) -> None:
    """Every pattern of 32 bits, those of NaN and of infinity among them; and equal texts have equal names."""
    bits = data.draw(st.lists(st.integers(0, 2**32 - 1), min_size=count * (1 + negatives), max_size=100))
    scores = np.array(bits[: count * (1 + negatives)], dtype=np.uint32).view(np.float32)
    words = st.sampled_from(["", "a", "b", "é", "a b"])
    queries, positives, others = (
        data.draw(st.lists(words, min_size=size, max_size=size)) for size in (count, count, count * negatives)
    )
    labelled = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))

    def lists(values: pa.Array, size: int) -> pa.ListArray:
        return pa.ListArray.from_arrays(pa.array(range(0, count * size + 1, size), pa.int32()), values)

    columns = [queries, positives, lists(pa.array(others), negatives), lists(pa.array(scores), 1 + negatives)]
    batch = pa.record_batch(
        [column if isinstance(column, pa.Array) else pa.array(column) for column in columns], SCHEMA
    )
    found = unpack(torch.tensor(trainer_columns(batch, np.array(labelled))["label"].to_pylist()))
    assert found.labelled.tolist() == labelled
    assert found.scores.numpy().tobytes() == scores.tobytes()
    texts = zip(queries, positives, *(others[place::negatives] for place in range(negatives)), strict=True)
    assert found.texts.tolist() == [[name(text) for text in row] for row in texts]


def test_the_file_goes_at_the_end_and_on_failure(tmp_path: Path) -> None:
    source = tmp_path / "track.parquet"
    pq.write_table(table(3), source)
    with arrow_file(source) as path:
        assert path.is_file()
        path.write_bytes(b"what a killed training left")
    with arrow_file(source) as path:
        dataset = Dataset.from_file(str(path))
        assert len(dataset) == 3
    assert list(tmp_path.iterdir()) == [source]
    assert dataset[2]["query"] == "query 2"  # what is mapped stays until the last process has let it go
    with pytest.raises(ZeroDivisionError), arrow_file(source):
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == [source]
    source.write_bytes(source.read_bytes()[:-9])
    with pytest.raises(pa.ArrowInvalid), arrow_file(source):
        pass
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("labelled", ["true", "false", None])
def test_a_file_says_what_it_holds(labelled: str | None, tmp_path: Path) -> None:
    """Whether its writer knew at the start or, as the stage does, at the end."""
    path = tmp_path / "track.parquet"
    metadata = {"replayed": "2"} if labelled is None else {"labelled": labelled}
    told = (labelled == "true", 2 if labelled is None else 0)
    pq.write_table(table(3).replace_schema_metadata(metadata), path)
    assert tuples_info(path) == TuplesInfo(3, *told)
    with pq.ParquetWriter(path, SCHEMA) as file:
        file.write_table(table(4))
        file.add_key_value_metadata(metadata)
    assert tuples_info(path) == TuplesInfo(4, *told)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        tuples_info(tmp_path / "track.parquet")
    assert caught.value.filename == str(tmp_path / "track.parquet")


def test_the_stage_leaves_no_file_beside_the_tuples_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = TrainingProject(tmp_path, 0.0)
    folder = tmp_path / "data/triplets"
    before = sorted(folder.iterdir())
    (tmp_path / "data/sets" / project.params["reranker"]["in_domain"] / "dev.parquet").unlink()
    with pytest.raises(DecantError, match="the split is not there"):
        project.train_here("reranker", monkeypatch)
    assert sorted(folder.iterdir()) == before
