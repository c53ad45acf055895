"""The embedded sets: the same in every process, leak-free, and made as docs/design.md says."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from decant.data.corpus import read_corpus
from decant.data.sets import SPLITS, Row, normalise
from decant.errors import DecantError
from decant.fetch.build import fetch_set
from decant.fetch.embedded import icd10, pydocs
from decant.fetch.embedded.icd10 import TABULAR_LIST
from decant.fetch.settings import DataSet
from decant.files import read_json
from decant.params import load_params
from decant.sources.references import resolve
from tests.support.fetched_sets import content, splits_of

ROOT = Path(__file__).parents[2]

SIZES = {"train": 60, "dev": 12, "test": 30}
NEGATIVES = {"icd10": 9, "pydocs": 11}

BUILD = """
import importlib, json, sys
from pathlib import Path
from decant.fetch.build import fetch_set
from decant.fetch.settings import DataSet
for name in sys.argv[2:]:
    importlib.import_module(name)
folder = Path(sys.argv[1])
for name, settings in json.loads((folder / "settings.json").read_text()).items():
    fetch_set(name, DataSet.model_validate(settings), folder / name)
"""


def embedded(name: str, **changes: Any) -> DataSet:
    """The set as the committed params have it, but small."""
    settings = load_params(ROOT / "params.yaml").datasets[name].model_dump()
    return DataSet.model_validate({**settings, **SIZES, "negatives": NEGATIVES[name], **changes})


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Both embedded sets, built by two processes whose hashes differ, and of which one has imported more before."""
    folders = [tmp_path_factory.mktemp("embedded") for _ in range(2)]
    settings = json.dumps({name: embedded(name).model_dump() for name in NEGATIVES})
    imported = [[], ["pandas.testing", "sklearn.experimental.enable_halving_search_cv", "scipy.stats", "pytest"]]
    processes = []
    for seed, (folder, modules) in enumerate(zip(folders, imported, strict=True), start=1):
        (folder / "settings.json").write_text(settings)
        command = [sys.executable, "-c", BUILD, str(folder), *modules]
        variables = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        processes.append(subprocess.Popen(command, cwd=ROOT, env=variables))
    assert [process.wait() for process in processes] == [0, 0]
    return folders


@pytest.mark.parametrize("name", NEGATIVES)
def test_an_embedded_set_is_the_same_in_every_process(builds, name):
    assert content(builds[0] / name) == content(builds[1] / name)


def test_icd10_is_the_same_in_this_process_too(builds, tmp_path):
    fetch_set("icd10", embedded("icd10"), tmp_path / "icd10")
    assert content(tmp_path / "icd10") == content(builds[0] / "icd10")


@pytest.mark.parametrize("name", NEGATIVES)
def test_an_embedded_set_has_the_sizes_asked_for(builds, name):
    for split, rows in splits_of(builds[0] / name).items():
        assert len(rows) == SIZES[split]
        assert all(len(row.negative) == NEGATIVES[name] for row in rows)
        assert all(row.positive for row in rows)
        assert len({normalise(row.query) for row in rows}) == len(rows)


@pytest.mark.parametrize("name", NEGATIVES)
def test_no_candidate_is_its_own_query_or_stands_twice(builds, name):
    for rows in splits_of(builds[0] / name).values():
        for row in rows:
            folded = [normalise(text) for text in (row.query, *row.candidates)]
            assert len(set(folded)) == len(folded)


@pytest.mark.parametrize("name", NEGATIVES)
def test_its_corpus_has_the_negatives_of_all_splits_and_far_more_each_once(builds, name):
    texts = read_corpus(builds[0] / name / "corpus.parquet")["text"].to_pylist()
    assert len(set(texts)) == len(texts) > 5000
    assert {text for rows in splits_of(builds[0] / name).values() for row in rows for text in row.negative} <= set(
        texts
    )


def all_texts(rows: list[Row]) -> set[str]:
    return {normalise(text) for row in rows for text in (row.query, *row.candidates)}


@pytest.mark.parametrize("name", NEGATIVES)
def test_no_text_stands_in_two_splits_in_whatever_role(builds, name):
    splits = splits_of(builds[0] / name)
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert not all_texts(splits[one]) & all_texts(splits[other])
    for counts in read_json(builds[0] / name / "card.json")["overlap"].values():
        assert (counts["exact"], counts["folded"], counts["share"], counts["any_role"]) == (0, 0, 0.0, 0)
        for role in ("queries", "candidates"):
            assert counts[role]["exact"] == counts[role]["folded"] == 0
            assert counts[role]["near"] <= max(2, 0.06 * counts[role]["texts"])  # that differ in a word


def test_icd10_splits_are_of_different_categories(builds):
    tree = ElementTree.parse(resolve(embedded("icd10").source) / TABULAR_LIST)
    categories: dict[str, set[str]] = {}
    for diag in tree.iter("diag"):
        for text in (diag.find("desc"), *diag.findall("inclusionTerm/note")):
            categories.setdefault(" ".join(text.text.split()), set()).add(diag.findtext("name")[:3])
    found = {}
    for split, rows in splits_of(builds[0] / "icd10").items():
        of_rows = [set.intersection(*(categories[text] for text in (row.query, *row.positive))) for row in rows]
        assert all(len(of_row) == 1 for of_row in of_rows)
        found[split] = set.union(*of_rows)
    assert not found["train"] & found["dev"]
    assert not found["train"] & found["test"]
    assert not found["dev"] & found["test"]


def test_icd10_positives_are_the_codes_own_names_and_negatives_are_not(builds):
    names: dict[str, set[str]] = {}
    for diag in ElementTree.parse(resolve(embedded("icd10").source) / TABULAR_LIST).iter("diag"):
        elements = (diag.find("desc"), *diag.findall("inclusionTerm/note"))
        own = {normalise(element.text) for element in elements}
        for text in own:
            names.setdefault(text, set()).update(own)
    for rows in splits_of(builds[0] / "icd10").values():
        for row in rows:
            assert {normalise(text) for text in row.positive} <= names[normalise(row.query)]


@pytest.mark.parametrize("name", NEGATIVES)
def test_another_version_of_a_package_is_refused_before_anything_is_built(tmp_path, name):
    package = next(iter(embedded(name).packages))
    spec = embedded(name, packages={**embedded(name).packages, package: "0.0.1"})
    with pytest.raises(DecantError, match=f"{package} .* is installed, and params.yaml names 0.0.1"):
        fetch_set(name, spec, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes, fault",
    [
        ({"dev": None}, "`dev` is None, and the format icd10 needs a number"),
        ({"test": "test.jsonl"}, "`test` is test.jsonl, and the format icd10 needs a number"),
        ({"negatives": None}, "`negatives` is None, and the format icd10 needs a number"),
        ({"packages": {}}, "`packages` is empty"),
    ],
)
def test_an_embedded_set_without_sizes_or_packages_is_refused(changes, fault):
    with pytest.raises(ValidationError, match=fault):
        embedded("icd10", **changes)


def tabular_list(folder: Path, codes: dict[str, list[str]]) -> Path:
    """A small tabular list: name → title and synonyms."""
    root = ElementTree.Element("ICD10CM.tabular")
    for name, (title, *synonyms) in codes.items():
        diag = ElementTree.SubElement(root, "diag")
        ElementTree.SubElement(diag, "name").text = name
        ElementTree.SubElement(diag, "desc").text = title
        if synonyms:
            inclusion = ElementTree.SubElement(diag, "inclusionTerm")
            for synonym in synonyms:
                ElementTree.SubElement(inclusion, "note").text = synonym
    ElementTree.ElementTree(root).write(folder / TABULAR_LIST)
    return folder


# One category a split; within each, `fever` is what the titles share.
FEVERS = {
    f"{letter}0{n}.{m}": [f"{word} fever {kind}", f"{kind} {word} fever and chills", f"{kind} {word} ague"]
    for n, (letter, word) in enumerate({"A": "red", "B": "blue", "C": "green"}.items())
    for m, kind in enumerate(["mild", "severe", "chronic"])
}


def test_icd10_rows_are_made_of_names_that_share_a_word(tmp_path):
    source = tabular_list(tmp_path, FEVERS)
    splits = icd10.build(source, [], dict.fromkeys(SPLITS, 3), 2, seed=0)
    assert {row.query.split()[1] for rows in splits.values() for row in rows} == {"red", "blue", "green"}
    for rows in splits.values():
        titles = {title for title, *_ in FEVERS.values() if title.split()[0] == rows[0].query.split()[1]}
        for row in rows:
            [(title, *synonyms)] = [names for names in FEVERS.values() if row.query in names]
            assert row.positive == sorted({title, *synonyms} - {row.query})
            assert set(row.negative) == titles - {title}
    with pytest.raises(DecantError, match="icd10: only 0 test queries could be made, 3 are asked for") as caught:
        icd10.build(source, [], dict.fromkeys(SPLITS, 3), 3, seed=0)
    assert "datasets.icd10.test" in caught.value.remedy


@pytest.mark.parametrize("seed", range(6))
def test_a_name_of_codes_in_several_splits_stands_in_one_of_them(tmp_path, seed):
    name = "fever of unknown origin"
    codes = {code: [*names, name] if code.endswith(".0") else names for code, names in FEVERS.items()}
    splits = icd10.build(tabular_list(tmp_path, codes), [], {"train": 2, "dev": 2, "test": 3}, 2, seed=seed)
    assert [split for split in SPLITS if name in all_texts(splits[split])] == ["test"]


@pytest.mark.parametrize("seed", range(6))
def test_a_title_of_codes_in_several_splits_is_a_negative_in_one_of_them(tmp_path, seed):
    title = "mild severe chronic red blue green fever and chills"  # near to every query
    codes = FEVERS | {f"{category}.9": [title] for category in ("A00", "B01", "C02")}
    splits = icd10.build(tabular_list(tmp_path, codes), [], dict.fromkeys(SPLITS, 2), 2, seed=seed)
    assert not all_texts(splits["train"]) & all_texts(splits["test"])
    assert not all_texts(splits["train"]) & all_texts(splits["dev"])
    assert [split for split in SPLITS if title in all_texts(splits[split])] == ["test"]


def test_a_folder_without_the_tabular_list_is_refused(tmp_path):
    with pytest.raises(DecantError, match="tabular list is not there") as caught:
        icd10.build(tmp_path, [], SIZES, 5, seed=0)
    assert "simple-icd-10-cm" in caught.value.remedy


def test_more_negatives_than_there_are_is_refused():
    with pytest.raises(DecantError, match="pydocs: only 0 train queries could be made") as caught:
        pydocs.build(Path(), ["networkx"], {"train": 2, "dev": 2, "test": 2}, 10**6, seed=0)
    assert "datasets.pydocs" in caught.value.remedy


def test_more_queries_than_there_are_is_refused():
    with pytest.raises(DecantError, match=r"pydocs: only \d+ train queries could be made, 100000 are asked for"):
        pydocs.build(Path(), ["networkx"], {"train": 100_000, "dev": 2, "test": 2}, 5, seed=0)
