"""n-tuples of a union: each query behind its set's prompt, and batches of one set."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset

from decant.data.tasks import Task
from decant.train.columns import arrow_file
from decant.train.unions import OneSetBatchSampler, of_union, one_set_a_batch, with_prompts, with_replay
from decant.triplets.draw import SCHEMA, SET

NAMES = ["shop"] * 7 + ["flag"] * 12 + [""] * 3
TASK = Task("", sets={"shop": Task("price"), "flag": Task("animal")})


@pytest.fixture
def tuples(tmp_path: Path) -> Dataset:
    rows = [
        {"query": f"query {n}", "positive": "p", "negatives": ["n"], "scores": [1.0, 0.0], "set": name}
        for n, name in enumerate(NAMES)
    ]
    path = tmp_path / "tuples.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA.append(SET)), path)
    with arrow_file(path) as written:
        yield Dataset.from_file(str(written))


def test_each_query_stands_behind_the_task_of_its_set_and_the_names_are_gone(tuples: Dataset) -> None:
    read = with_prompts(tuples, "{task}: ", with_replay(TASK, Task("weakness")))
    tasks = {"shop": "price", "flag": "animal", "": "weakness"}
    assert read[:]["query"] == [f"{tasks[name]}: query {n}" for n, name in enumerate(NAMES)]
    assert set(read[0]) == {"query", "positive", "negative_1", "label"}
    assert read[0]["label"] == tuples[0]["label"]
    assert of_union(tuples)
    assert set(with_prompts(tuples, "", TASK)[0]) == {"query", "positive", "negative_1", "label"}


def batches(sampler: OneSetBatchSampler) -> list[list[int]]:
    return list(sampler)


def test_a_batch_is_of_one_set_and_an_epoch_has_every_ntuple_once(tuples: Dataset) -> None:
    def sampler(seed: int) -> OneSetBatchSampler:
        generator = torch.Generator().manual_seed(seed)
        return one_set_a_batch(tuples)(tuples, batch_size=4, drop_last=False, generator=generator)

    drawn = sampler(0)
    found = batches(drawn)
    assert sorted(place for batch in found for place in batch) == list(range(len(NAMES)))
    assert all(len({NAMES[place] for place in batch}) == 1 for batch in found)
    assert len(found) == len(drawn) == 2 + 3 + 1
    assert Counter(map(len, found)) == {4: 4, 3: 2}
    assert batches(drawn) != found  # the next epoch
    assert batches(sampler(0)) == found
