"""Train on the n-tuples of a union: each query behind its own set's prompt, batches of one set where asked for."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from datasets import Dataset
from sentence_transformers.base.sampler import DefaultBatchSampler
from torch.utils.data import RandomSampler

from decant.data.tasks import Task, task_of
from decant.train.columns import SET


def of_union(tuples: Dataset) -> bool:
    """Whether n-tuples name their sets."""
    return SET in tuples.column_names


def with_prompts(tuples: Dataset, prompt: str, task: str) -> Dataset:
    """The n-tuples of a union without the names of their sets, each query behind its set's prompt.

    Args:
        tuples: see `decant.train.columns.trainer_columns`.
        prompt: of queries; the set's task fills `{task}`.
        task: of the union.
    """
    if not prompt:
        return tuples.remove_columns(SET)

    def read(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        prompts = [prompt.replace("{task}", task_of(task, name)) for name in columns.pop(SET)]
        queries = [f"{before}{query}" for before, query in zip(prompts, columns["query"], strict=True)]
        return {**columns, "query": queries}

    return tuples.with_transform(read)


def with_replay(task: Task, of_guard: Task) -> Task:
    """A union's tasks, and the guard set's for replayed n-tuples, which name no set."""
    return Task(str(task), task.prompt, {**task.sets, "": of_guard}) if task.sets else task


def one_set_a_batch(tuples: Dataset) -> partial["OneSetBatchSampler"]:
    """Makes the batch sampler for the trainers' argument `batch_sampler`."""
    names = tuples.with_format("numpy", columns=[SET])[:][SET]
    return partial(OneSetBatchSampler, sets=np.unique(names, return_inverse=True)[1])


class OneSetBatchSampler(DefaultBatchSampler):  # type: ignore[misc]
    """Batches whose n-tuples are all of one set, in random order; at an epoch's end each set has a smaller one.

    Args:
        dataset: the n-tuples.
        sets: the number of each n-tuple's set, shape (n-tuples,).
        options: see the library's sampler.
    """

    def __init__(self, dataset: Dataset, *, sets: npt.NDArray[np.int64], **options: Any) -> None:
        super().__init__(RandomSampler(dataset, generator=options.get("generator")), **options)
        self.sets = sets

    def __iter__(self) -> Iterator[list[int]]:
        waiting: Mapping[int, list[int]] = {number: [] for number in np.unique(self.sets).tolist()}
        for place in self.sampler:
            batch = waiting[int(self.sets[place])]
            batch.append(place)
            if len(batch) == self.batch_size:
                yield list(batch)
                batch.clear()
        yield from filter(None, waiting.values())

    def __len__(self) -> int:
        return int(sum(-(-count // self.batch_size) for count in np.bincount(self.sets)))
