"""A project whose embedding track has a union of a user's sets, and whose teachers are trained first."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Project, built_once, check_out

WORDS = [f"{first}{middle}{last}" for first in "bdfgklmnprst" for middle in "aeiou" for last in ("ck", "nd", "st", "r")]


def write_flag(path: Path, rng: random.Random, count: int) -> None:
    """Rows of invented texts: the positive shares a word with the query."""
    with path.open("w") as file:
        for number in range(count):
            word, *others = rng.sample(WORDS, 8)
            file.write(
                json.dumps(
                    {
                        "query": f"where does the {word} of {number} live",
                        "pos": [f"the {word} lives with {others[0]} and {others[1]}, {number}"],
                        "neg": [
                            f"a {other} never lives near {number}, says {rng.choice(WORDS)}" for other in others[2:]
                        ],
                    }
                )
                + "\n"
            )


def write_beir(folder: Path, rng: random.Random, counts: dict[str, int]) -> None:
    """A BEIR folder whose qrels judge a relevant document and five others of each query."""
    (folder / "qrels").mkdir(parents=True)
    corpus, queries, number = [], [], 0
    for split, count in counts.items():
        lines = ["query-id\tcorpus-id\tscore"]
        for _ in range(count):
            words = rng.sample(WORDS, 6)
            queries.append({"_id": f"q{number}", "text": f"price of {words[0]} in {number}"})
            for place, word in enumerate(words):
                corpus.append({"_id": f"d{number}-{place}", "title": "", "text": f"{word} costs {number} coins"})
                lines.append(f"q{number}\td{number}-{place}\t{int(place == 0)}")
            number += 1
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def with_a_union(params: Any) -> None:
    params["datasets"]["flag"] = {
        "source": "path:data/own/flag.jsonl", "train": "flag.jsonl", "dev": 8, "test": 12, "task": "Find the animal"
    }  # fmt: skip
    params["datasets"]["shop"] = {
        "source": "path:data/own/shop", "train": "train", "dev": "dev", "test": "test", "task": "Find the price"
    }  # fmt: skip
    params["unions"] = {"both": {"union": {"flag": 2, "shop": 1}}}
    params["embedding"]["in_domain"] = "both"
    params["embedding"]["student"]["query_prompt"] = "{task}: "
    params["train"]["one_set_a_batch"] = True


def with_adapted_teachers(params: Any) -> None:
    """The embedding track's teacher is its whole model, the reranker's a cross-encoder that is made here.

    Each student is its teacher's first layer.
    """
    for track, kind in (("embedding", "bi_encoder"), ("reranker", "cross_encoder")):
        block = params[track]
        keys = ("teacher", "student", "triplets", "loss", "train")
        block["adapt"] = {key: dict(block[key]) for key in keys}
        block["adapt"]["student"].update(layers=[0, 1])
        block["adapt"]["train"].update(epochs=2)
        block["teacher"] = {
            "kind": kind,
            "engine": "sentence-transformers",
            "model": f"path:data/teachers/{track}",
            "max_length": 64,
            "embeddings": kind == "bi_encoder",
        }
        block["student"].update(model=f"path:data/teachers/{track}", layers=[0])
        del block["student"]["sha256"]
    params["reranker"]["student"]["head"] = "keep"
    params["reranker"]["loss"]["teacher_scale"] = 1.0


def united(factory: pytest.TempPathFactory) -> Project:
    """The project after `dvc repro` of the embedding track, and of the reranker's scores; not to be changed."""
    return built_once(factory, "united", _build)


def _build(project: Project) -> None:
    project.folder.mkdir()
    check_out(project)
    rng = random.Random(0)
    own = project.folder / "data/own"
    write_flag(own / "flag.jsonl", rng, 60)
    write_beir(own / "shop", rng, {"train": 30, "dev": 8, "test": 10})
    project.edit_params(with_a_union)
    project.edit_params(with_adapted_teachers)
    project.dvc(
        "repro",
        "evaluate_after@embedding",
        "evaluate_teacher@embedding",
        "overlap@embedding",
        "triplets@reranker",
        "evaluate_before@reranker",
    )
