"""Test queries as the models ranked them: read with their candidates, packed into the page, told in its first lines."""

import base64
import json
import random
import string
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decant.errors import DecantError
from decant.report import explorer
from decant.report.explorer import pack
from decant.report.opening import opening
from decant.report.ranked import agreement, ranks, read_ranked_sets
from tests.support.ranked import set_of


def unpacked(data: str) -> Any:
    """As the browser reads it."""
    return json.loads(zlib.decompress(base64.b64decode(data)))


def write(folder: Path, queries: list[str], negatives: Sequence[str] = ("n", "m")) -> Path:
    """The runs of three models on two sets, of which the second is a part of the first; the split's file."""
    for place, model in enumerate(("before", "after", "teacher")):
        rows = [
            {
                "domain": "in_domain",
                "dataset": dataset,
                "query": query,
                "labels": [1, 0, 0],
                "scores": [float(place), 1.5, -1.0],
                "map": 0.25 * place,
            }
            for dataset in ("own", "own@128")
            for query in ("a", "b")
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{model}.parquet")
    split = [{"query": query, "positive": ["p"], "negative": list(negatives)} for query in queries]
    pq.write_table(pa.Table.from_pylist(split), folder / "test.parquet")
    return folder / "test.parquet"


def test_a_set_is_read_with_its_candidates_and_without_shortened_embeddings(tmp_path: Path) -> None:
    split = write(tmp_path, ["a", "b"])
    [own] = read_ranked_sets("embedding", tmp_path, {"in_domain": ("own", split)})
    assert own.place == "embedding: own, in-domain"
    assert own.queries == ["a", "b"]
    assert own.candidates == [["p", "n", "m"]] * 2
    assert own.positives == [1, 1]
    assert [list(scores) for scores in own.scores["teacher"]] == [[2.0, 1.5, -1.0]] * 2
    assert list(own.change) == [0.25, 0.25]


@pytest.mark.parametrize("queries, candidates", [(["b", "a"], ["n", "m"]), (["a", "b"], ["n", "m", "more"])])
def test_a_run_of_another_split_is_refused(tmp_path: Path, queries: list[str], candidates: list[str]) -> None:
    split = write(tmp_path, queries, candidates)
    with pytest.raises(DecantError, match="the run of before on own is not of the test split as it is now") as caught:
        read_ranked_sets("embedding", tmp_path, {"in_domain": ("own", split)})
    assert "dvc repro evaluate_before@embedding" in str(caught.value)


def test_ranks_count_from_one_and_equal_scores_share_the_last_of_their_places() -> None:
    """As average precision counts ties: a positive gains nothing by standing first among equals."""
    assert ranks(np.array([0.5, 2.0, 0.5, -1.0])) == [3, 1, 3, 4]


def test_scores_that_say_nothing_agree_with_nothing() -> None:
    of = set_of(before=[[1.0, 1.0, 1.0]], after=[[1.0, 1.0, 2.0]], teacher=[[3.0, 2.0, 1.0]])
    assert agreement(of, "before") is None
    assert agreement(of, "after") == pytest.approx(-(3**0.5) / 2)


def test_agreement_is_that_of_the_ranks() -> None:
    of = set_of(before=[[3.0, 2.0, 1.0]], after=[[1.0, 2.0, 3.0]], teacher=[[1.0, 20.0, 21.0]])
    assert agreement(of, "after") == pytest.approx(1.0)
    assert agreement(of, "before") == pytest.approx(-1.0)


def test_the_page_holds_every_text_once_with_ranks_and_precision() -> None:
    of = set_of(before=[[1.0, 2.0]], after=[[2.0, 1.0]], teacher=[[5.0, 1.0]])
    packed = pack([of, of])
    assert (packed["length"], packed["left_out"]) == (None, 0)
    content = unpacked(packed["data"])
    assert content["texts"] == ["query 0", "text 0.0", "text 0.1"]
    first, second = content["sets"]
    assert first == second
    assert first["queries"] == [
        {"n": 0, "q": 0, "c": [1, 2], "p": 1, "r": [[2, 1], [1, 2], [1, 2]], "a": [0.5, 1.0, 1.0]}
    ]


def test_texts_are_cut_and_then_the_least_changed_queries_left_out_until_all_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = "".join(random.Random(0).choices(string.printable[:94], k=3000))
    rows = [[2.0, 1.0], [1.0, 2.0], [2.0, 1.0], [2.0, 1.0]]
    of = set_of(before=[[2.0, 1.0]] * 4, after=rows, teacher=rows, text=noise)
    cut = pack([of])
    assert (cut["length"], cut["left_out"]) == (1000, 0)
    assert all(len(text) <= 1000 for text in unpacked(cut["data"])["texts"])
    monkeypatch.setattr(explorer, "LARGEST", 1)
    fewer = pack([of])
    assert (fewer["length"], fewer["left_out"]) == (80, 3)
    assert [query["n"] for query in unpacked(fewer["data"])["sets"][0]["queries"]] == [1]  # the one that changed


def told(
    p_value: float = 0.001,
    mean: float = 0.2,
    over: float = 0.1,
    trained: bool = True,
    teacher_size: int = 8_000_000,
    out_of_domain: bool = True,
) -> list[str]:
    """The opening of a track with two sets, whose change and place beside the teacher have this p-value."""
    change = {"mean": mean, "p_value": p_value, "p_holm": p_value}
    entry = {
        "before": 0.5,
        "after": 0.5 + mean,
        "teacher": 0.4,
        "change": change,
        "over_teacher": {**change, "mean": over},
    }
    domains = {
        "in_domain": {"own": {"map": entry}, "own@8": {"map": entry}},
        **({"out_of_domain": {"other": {"map": entry}}} if out_of_domain else {}),
    }
    block = {"fresh_head": False, "confidence": 0.95, "domains": domains}
    speed = {"measured": True, "ratio": {"median": 2.0}}
    sizes = {"teacher": {"parameters": teacher_size}, "student": {"parameters": 2_000_000}}
    cost = {**sizes, "training_seconds": 61.4, "speed": speed}
    models = {"teacher": "hub:a/teacher", "student": "3 layers of hub:a/student"}
    return opening({"track": block}, {"track": cost}, {"track": models}, {"track"} if trained else set())["track"]


def test_the_page_opens_with_what_was_distilled_gained_and_paid() -> None:
    assert told() == [
        "hub:a/teacher (8.0 M parameters) was distilled into 3 layers of hub:a/student (2.0 M parameters) on own.",
        "In its own domain, on own, MAP rose from 0.5000 to 0.7000, significantly above its teacher's 0.4000.",
        "Training took 61 s, and the student has 25 % of its teacher's parameters and 2.00 times its speed here; "
        "out of its domain, on other, MAP rose from 0.5000 to 0.7000, significantly above its teacher's 0.4000.",
    ]
    for sentence in told(mean=-0.2, over=-0.1)[1:]:
        assert "MAP fell from 0.5000 to 0.3000, significantly below its teacher's 0.4000." in sentence


def test_without_a_set_out_of_its_domain_the_page_opens_with_the_cost_alone() -> None:
    cost = "Training took 61 s, and the student has 25 % of its teacher's parameters and 2.00 times its speed here."
    assert told(out_of_domain=False)[2] == cost


def test_no_difference_is_claimed_that_its_test_does_not_show() -> None:
    sentence = told(p_value=0.3)[1]
    assert "MAP went from 0.5000 to 0.7000 (no significant change), with no significant difference" in sentence
    assert not {"rose", "fell", "above", "below"} & set(sentence.split())
    adjusted = told(p_value=0.02)[1]  # three comparisons with the teacher; the change's p is given adjusted
    assert "MAP rose" in adjusted
    assert "no significant difference from its teacher's 0.4000" in adjusted


def test_a_student_that_was_not_trained_is_told_as_that() -> None:
    first, *_, last = told(trained=False)
    assert "distilled" not in first
    assert "which made no training step" in first
    assert last.startswith("It is as it was before training, and the student has 25 %")


def test_a_teacher_that_was_never_here_is_not_compared_in_size() -> None:
    first, *_, last = told(teacher_size=0)
    assert first.startswith("hub:a/teacher was distilled")
    assert last.startswith("Training took 61 s; out of its domain, ")
