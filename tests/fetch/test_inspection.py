"""`decant inspect` proposes a block that `fetch` takes as it is."""

import json
from pathlib import Path
from typing import Any

import pytest

from decant.errors import DecantError
from decant.fetch.build import fetch_set
from decant.fetch.inspection import inspect
from decant.fetch.settings import DataSet
from tests.support.processes import decant


def write_rows(path: Path, first: int, count: int = 20, **fields: Any) -> None:
    """Rows of queries of their own, numbered from `first`, each with the same further fields."""
    rows = ({"query": f"query {number}", **fields} for number in range(first, first + count))
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def write_labelled(path: Path, first: int, count: int = 20) -> None:
    rows = (
        {"query": f"query {n}", "positive": f"answer {n}", "negative": f"another {n}"}
        for n in range(first, first + count)
    )
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def beir_folder(root: Path) -> Path:
    """A folder as BEIR publishes it: its qrels name the relevant documents alone."""
    (root / "qrels").mkdir(parents=True)
    texts = [{"_id": str(n), "text": f"the {word} number {n}"} for n, word in enumerate(["kettle", "router"] * 20)]
    for name in ("corpus", "queries"):
        (root / f"{name}.jsonl").write_text("".join(f"{json.dumps(text)}\n" for text in texts))
    for split, numbers in {"train": range(30), "dev": range(30, 34), "test": range(34, 40)}.items():
        lines = "".join(f"{number}\t{number}\t1\n" for number in numbers)
        (root / "qrels" / f"{split}.tsv").write_text(f"query-id\tcorpus-id\tscore\n{lines}")
    return root


def fetched(tmp_path: Path, block: dict[str, Any]) -> dict[str, int]:
    """The queries of each split of the set that a block describes."""
    card = fetch_set("own", DataSet.model_validate(block), tmp_path / "set")
    return {split: counts["queries"] for split, counts in card["splits"].items()}


def test_a_fifth_of_a_file_is_proposed_as_test(tmp_path: Path) -> None:
    write_labelled(tmp_path / "faq.jsonl", 0)
    block = inspect(tmp_path / "faq.jsonl", {}).block
    assert block["test"] == 4
    assert fetched(tmp_path, block) == {"train": 14, "dev": 2, "test": 4}


@pytest.mark.parametrize("named", ["train.jsonl", "."], ids=["the file", "its folder"])
def test_dev_and_test_files_that_lie_beside_train_are_proposed(tmp_path: Path, named: str) -> None:
    for number, split in enumerate(("train", "dev", "test")):
        write_labelled(tmp_path / f"{split}.jsonl", 20 * number)
    block = inspect(tmp_path / named, {}).block
    assert (block["dev"], block["test"]) == ("dev.jsonl", "test.jsonl")
    assert fetched(tmp_path, block) == {"train": 20, "dev": 20, "test": 20}


def test_a_beir_folder_whose_judged_documents_are_all_relevant_gets_bm25s_candidates(tmp_path: Path) -> None:
    found = inspect(beir_folder(tmp_path / "forum"), {})
    assert (found.negatives, found.block["candidates"]) == (0, "bm25")
    assert any("BM25" in note for note in found.notes)
    assert fetched(tmp_path, found.block) == {"train": 30, "dev": 4, "test": 6}


@pytest.mark.parametrize(
    "fields, note",
    [
        ({"positive": "an answer"}, "the rows have no negatives"),
        ({}, "the rows are queries alone"),
        ({"candidates": ["one", "two"]}, "the candidates have no labels"),
    ],
)
def test_where_nothing_can_be_carved_the_block_names_files_to_write(tmp_path: Path, fields: Any, note: str) -> None:
    write_rows(tmp_path / "faq.jsonl", 0, **fields)
    found = inspect(tmp_path / "faq.jsonl", {})
    assert any(each.startswith(note) and "dev and test need files" in each for each in found.notes)
    with pytest.raises(DecantError, match="there is no such file"):
        fetched(tmp_path, found.block)
    for number, split in enumerate(("dev", "test"), start=1):
        write_labelled(tmp_path / f"{split}.jsonl", 20 * number)
    assert fetched(tmp_path, found.block) == {"train": 20, "dev": 20, "test": 20}


def test_a_fault_of_two_options_together_names_both(tmp_path: Path) -> None:
    write_labelled(tmp_path / "own.jsonl", 0)
    result = decant(tmp_path, "inspect", "own.jsonl", "--candidates", "run")
    assert "decant inspect: `candidates` is run and `run` is None: the one needs the other" in result.stderr
