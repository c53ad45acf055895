"""The embedded set `cwe`: the same in every process, leak-free, and made of the list of weaknesses as its docs say."""

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from decant.data.sets import SPLITS, normalise
from decant.errors import DecantError
from decant.fetch.build import fetch_set
from decant.fetch.embedded import cwe
from decant.fetch.embedded.cwe import ALL_WEAKNESSES
from decant.fetch.settings import DataSet
from decant.files import read_json
from decant.params import load_params
from decant.sources.references import resolve
from tests.support.fetched_sets import content, splits_of

ROOT = Path(__file__).parents[2]
SIZES = {"train": 60, "dev": 12, "test": 30}
NEGATIVES = 11
BUILD = """
import sys
from pathlib import Path
from decant.fetch.build import fetch_set
from decant.fetch.settings import DataSet
folder = Path(sys.argv[1])
fetch_set("cwe", DataSet.model_validate_json((folder / "settings.json").read_text()), folder / "cwe")
"""


def committed(**changes: Any) -> DataSet:
    """The set as the committed params have it."""
    settings = load_params(ROOT / "params.yaml").datasets["cwe"].model_dump()
    return DataSet.model_validate({**settings, **changes})


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A small set, built by two processes whose hashes differ."""
    folders = [tmp_path_factory.mktemp("cwe") for _ in range(2)]
    processes = []
    for seed, folder in enumerate(folders, start=1):
        (folder / "settings.json").write_text(committed(**SIZES, negatives=NEGATIVES).model_dump_json())
        variables = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        processes.append(subprocess.Popen([sys.executable, "-c", BUILD, str(folder)], cwd=ROOT, env=variables))
    assert [process.wait() for process in processes] == [0, 0]
    return [folder / "cwe" for folder in folders]


def test_it_is_the_same_in_every_process(builds):
    assert content(builds[0]) == content(builds[1])


def test_it_has_the_sizes_asked_for(builds):
    for split, rows in splits_of(builds[0]).items():
        assert len(rows) == SIZES[split]
        assert all((len(row.positive), len(row.negative)) == (1, NEGATIVES) for row in rows)
        assert len({normalise(row.query) for row in rows}) == len(rows)


def test_the_committed_sizes_can_be_filled_and_nothing_is_shared(tmp_path):
    """Of all queries that there are: whatever could leak would."""
    fetch_set("cwe", committed(), tmp_path / "cwe")
    splits = splits_of(tmp_path / "cwe")
    assert {split: len(rows) for split, rows in splits.items()} == {
        split: getattr(committed(), split) for split in SPLITS
    }
    texts = {
        split: {normalise(text) for row in rows for text in (row.query, *row.candidates)}
        for split, rows in splits.items()
    }
    assert not texts["train"] & texts["dev"]
    assert not texts["train"] & texts["test"]
    assert not texts["dev"] & texts["test"]
    for counts in read_json(tmp_path / "cwe" / "card.json")["overlap"].values():
        assert (counts["exact"], counts["folded"], counts["share"], counts["any_role"]) == (0, 0, 0.0, 0)
    names = {weakness["Name"] for weakness in weaknesses()}
    for rows in splits.values():
        for row in rows:
            assert row.query in names or len(row.query.split()) > 5  # an explanation is no fragment
            folded = [normalise(text) for text in (row.query, *row.candidates)]
            assert len(set(folded)) == len(folded)


def weaknesses() -> list[dict[str, str]]:
    path = resolve(committed().source) / ALL_WEAKNESSES
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{name: " ".join(text.split()) for name, text in row.items() if name} for row in rows]


def test_a_query_names_or_explains_what_its_positive_describes(builds):
    described: dict[str, list[dict[str, str]]] = {}
    for weakness in weaknesses():
        described.setdefault(weakness["Description"], []).append(weakness)
    kinds = set()
    for rows in splits_of(builds[0]).values():
        for row in rows:
            of = described[row.positive[0]]
            named = any(row.query == weakness["Name"] for weakness in of)
            explained = any(weakness["Extended Description"].startswith(row.query) for weakness in of)
            assert named or explained
            kinds.add("name" if named else "explanation")
            assert all(text in described for text in row.negative)
    assert kinds == {"name", "explanation"}


def test_siblings_stay_in_one_split_and_what_is_deprecated_is_in_none(builds):
    parents: dict[str, set[str]] = {}
    gone = set()
    for weakness in weaknesses():
        found = [link for link in weakness["Related Weaknesses"].split("::") if link.startswith("NATURE:ChildOf")]
        primary = [link for link in found if "VIEW ID:1000" in link and "ORDINAL:Primary" in link]
        parent = primary[0].split(":")[3] if primary else weakness["CWE-ID"]
        parents.setdefault(weakness["Description"], set()).add(parent)
        if weakness["Status"] in ("Deprecated", "Obsolete"):
            gone.add(weakness["Description"])
    of_split = {}
    for split, rows in splits_of(builds[0]).items():
        texts = {text for row in rows for text in row.candidates}
        assert not texts & gone
        of_split[split] = {parent for text in texts if len(parents[text]) == 1 for parent in parents[text]}
    assert not of_split["train"] & of_split["dev"]
    assert not of_split["train"] & of_split["test"]
    assert not of_split["dev"] & of_split["test"]


def test_another_version_of_the_package_is_refused_before_anything_is_built(tmp_path):
    with pytest.raises(DecantError, match=r"cwe2 .* is installed, and params.yaml names 0.0.1"):
        fetch_set("cwe", committed(packages={"cwe2": "0.0.1"}), tmp_path / "cwe")
    assert not list(tmp_path.iterdir())


def test_another_seed_asks_otherwise():
    source = resolve(committed().source)
    drawn = [cwe.build(source, [], SIZES, NEGATIVES, seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert {row.query for row in drawn[0]["test"]} != {row.query for row in drawn[2]["test"]}


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_that_cannot_be_filled_is_named(split):
    with pytest.raises(DecantError, match=f"cwe: only [0-9]+ {split} queries could be made, 5000 are") as caught:
        cwe.build(resolve(committed().source), [], {**SIZES, split: 5000}, NEGATIVES, 0)
    assert f"datasets.cwe.{split}" in caught.value.remedy


def test_a_package_without_the_list_is_told(tmp_path):
    with pytest.raises(DecantError, match="the list of weaknesses is not there") as caught:
        cwe.build(tmp_path, [], SIZES, NEGATIVES, 0)
    assert "cwe2" in caught.value.remedy
