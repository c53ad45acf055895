"""Sets in MTEB's newer layout (corpus, queries, default or qrels, top_ranked) become the rows of a reranking set."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decant.data.sets import Row, read_split
from decant.errors import DecantError
from decant.fetch.build import fetch_set
from decant.fetch.readers import mteb
from decant.fetch.settings import DataSet
from decant.fetch.validation import valid_rows
from decant.files import read_json
from tests.support.hub_client import COMMIT, Client, Reference
from tests.support.hub_server import Hub, Repository

# A config's splits, and a split's rows.
Configs = dict[str, dict[str, list[dict[str, Any]]]]


def small() -> Configs:
    """Two queries of the test split and one of train, in the columns of mteb/AskUbuntuDupQuestions."""
    return {
        "corpus": {
            "train": [
                {"_id": "10", "title": "", "text": "ten"},
                {"_id": "11", "title": "", "text": "eleven"},
            ],
            "test": [
                {"_id": "0", "title": "", "text": "zero"},
                {"_id": "1", "title": "One", "text": "is one"},
                {"_id": "2", "title": "", "text": "two "},
                {"_id": "3", "title": "", "text": "three"},
            ],
        },
        "queries": {
            "train": [{"_id": "q9", "text": "which is even"}],
            "test": [{"_id": "q0", "text": "which is odd"}, {"_id": "q1", "text": "which is nothing"}],
        },
        "default": {
            "train": [{"query-id": "q9", "corpus-id": "10", "score": 1}],
            "test": [
                {"query-id": "q0", "corpus-id": "1", "score": 2},
                {"query-id": "q0", "corpus-id": "2", "score": 0},
                {"query-id": "q0", "corpus-id": "3", "score": 1},
                {"query-id": "q1", "corpus-id": "0", "score": 1},
            ],
        },
        "top_ranked": {
            "train": [{"query-id": "q9", "corpus-ids": ["11", "10"]}],
            "test": [
                {"query-id": "q0", "corpus-ids": ["0", "1", "2"]},
                {"query-id": "q1", "corpus-ids": ["2", "0"]},
            ],
        },
    }


def large() -> Configs:
    """Thirty queries of a train and ten of a test split, which share no text."""
    content: Configs = {name: {} for name in small()}
    for split, count in (("train", 30), ("test", 10)):
        numbers = range(count)
        kinds = ("yes", "no")
        content["queries"][split] = [{"_id": f"{split}-{n}", "text": f"{split} query {n}"} for n in numbers]
        content["corpus"][split] = [
            {"_id": f"{split}-{kind}-{n}", "title": split, "text": f"{kind} {n}"} for n in numbers for kind in kinds
        ]
        content["default"][split] = [
            {"query-id": f"{split}-{n}", "corpus-id": f"{split}-{kind}-{n}", "score": int(kind == "yes")}
            for n in numbers
            for kind in kinds
        ]
        content["top_ranked"][split] = [
            {"query-id": f"{split}-{n}", "corpus-ids": [f"{split}-{kind}-{n}" for kind in kinds]} for n in numbers
        ]
    return content


def files_of(configs: Configs, suffix: str = "parquet") -> dict[str, bytes]:
    """The repository's files: a README.md that names the configs, and a file a split."""
    lines, files = ["---", "configs:"], {}
    for config, splits in configs.items():
        folder = "data" if config == "default" else config
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            lines += [f"  - split: {split}", f"    path: {folder}/{split}-*"]
            written = io.BytesIO()
            if suffix == "parquet":
                pq.write_table(pa.Table.from_pylist(rows), written)
            else:
                written.write("".join(json.dumps(row) + "\n" for row in rows).encode())
            files[f"{folder}/{split}-00000-of-00001.{suffix}"] = written.getvalue()
    return {"README.md": "\n".join([*lines, "---", ""]).encode(), **files}


def read(folder: Path, split: str, **changes: Any) -> list[Any]:
    settings = DataSet(source=f"path:{folder}", format="mteb", train="train", test="test", task="", **changes)
    return list(mteb.read(folder, split, settings))


def rows(folder: Path, split: str, **changes: Any) -> list[Row]:
    return list(valid_rows(read(folder, split, **changes), "refuse", labelled=True)[0])


def write(folder: Path, configs: Configs, suffix: str = "parquet") -> Path:
    for name, content in files_of(configs, suffix).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets cache")


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_scores_above_zero_are_positives_and_other_candidates_negatives(tmp_path: Path, suffix: str) -> None:
    folder = write(tmp_path / "set", small(), suffix)
    # "3" is relevant and no candidate; a score of 0 makes no positive; title and text are joined.
    odd = {"grades": [2, 1, 0, 0], "query_id": "q0", "ids": ["1", "3", "0", "2"]}
    first = Row("which is odd", ["One is one", "three"], ["zero", "two"], **odd)
    second = Row("which is nothing", ["zero"], ["two"], query_id="q1", ids=["0", "2"])
    assert rows(folder, "test") == [first, second]
    ((place, _),) = read(folder, "train")
    assert "q9" in place
    assert rows(folder, "train") == [Row("which is even", ["ten"], ["eleven"], query_id="q9", ids=["10", "11"])]


def test_a_set_without_lists_of_candidates_ranks_what_is_judged_or_found(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", without("top_ranked"))
    assert [record.ids for _, record in read(folder, "test")] == [["1", "2", "3"], ["0"]]
    found = read(folder, "test", candidates="bm25", top_k=2)
    assert [record.ids for _, record in found] == [["1", "3"], ["1", "0"]]  # "is" finds 1; what is relevant is added


def test_the_layouts_that_mteb_reads_are_read(tmp_path: Path) -> None:
    content = small()
    content["qrels"] = content.pop("default")
    # One corpus and one list of queries for all splits, with `id` instead of `_id`, no title, and numbers as ids.
    content["corpus"] = {
        "corpus": [{"id": int(row["_id"]), "text": row["text"]} for rows in content["corpus"].values() for row in rows]
    }
    content["queries"] = {
        "queries": [{"id": row["_id"], "text": row["text"]} for rows in content["queries"].values() for row in rows]
    }
    found = rows(write(tmp_path / "set", content), "test")
    assert [row.query for row in found] == ["which is odd", "which is nothing"]
    assert found[0].positive == ["is one", "three"]


@pytest.mark.parametrize("scheme", ["hub", "modelscope", "path"])
def test_a_set_is_fetched_from_everywhere_with_a_carved_dev_split(tmp_path: Path, scheme: str) -> None:
    folder = tmp_path / "fetched"
    if scheme == "path":
        source = f"path:{write(tmp_path / 'set', large())}"
        fetch_set("mine", DataSet(source=source, format="mteb", train="train", dev=6, test="test", task=""), folder)
    else:
        # The script of the client names its train split `validation`.
        configs = {
            name: {"validation" if split == "train" else split: rows for split, rows in content.items()}
            for name, content in large().items()
        }
        repository = Repository(COMMIT, {**files_of(configs), "script.py": b"code"})
        with Hub({("dataset", "them/new"): repository}).serve() as hub:
            reference = Reference(f"{scheme}:them/new", COMMIT, folder, format="mteb")
            (outcome,) = Client(tmp_path / "home", hub.endpoint).resolve(reference)
        assert outcome.folder, outcome
        assert not [request for request in hub.requests if request.endswith(".py")]
        assert read_json(folder / "card.json")["format"] == "mteb"
    train, dev, test = (read_split(folder / f"{name}.parquet").rows for name in ("train", "dev", "test"))
    assert (len(train), len(dev), len(test)) == (24, 6, 10)
    assert sorted(row.query for row in train + dev) == sorted(f"train query {number}" for number in range(30))
    assert (test[3].query, test[3].positive, test[3].negative) == ("test query 3", ["test yes 3"], ["test no 3"])


def without(config: str) -> Configs:
    return {name: splits for name, splits in small().items() if name != config}


def changed(config: str, **columns: Any) -> Configs:
    """The small set, whose first test row of a config has these columns changed; one that is None is taken out."""
    content = small()
    content[config]["test"][0].update(columns)
    for rows in content[config].values():
        for row in rows:
            for name in [name for name, value in columns.items() if value is None]:
                del row[name]
    return content


@pytest.mark.parametrize(
    ("content", "split", "message"),
    [
        (without("default"), "test", "no config qrels"),
        ({}, "test", "no config corpus and queries (found: default)"),  # rows, perhaps
        (small(), "dev", "the config default has no split 'dev' (found: train, test)"),
        (changed("corpus", text=None), "test", "the config corpus has no column text"),
        (changed("corpus", _id=None), "test", "a row of corpus has no id"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, content: Configs, split: str, message: str) -> None:
    folder = write(tmp_path / "set", content)
    if not content:
        (folder / "README.md").unlink()
        (folder / "train.jsonl").write_text('{"query": "a", "positive": ["b"], "negative": ["c"]}\n')
    with pytest.raises(DecantError) as caught:
        read(folder, split)
    assert message in caught.value.problem
    assert str(folder) in caught.value.problem


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (changed("default", **{"corpus-id": "7"}), "documents without a text"),
        (changed("top_ranked", **{"query-id": "q7"}), "queries without candidates"),
        (changed("queries", _id="q7"), "qrels of a query without a text"),
    ],
)
def test_what_the_set_says_too_little_of_is_left_out_and_counted(tmp_path: Path, content: Configs, reason: str) -> None:
    _, faults = (found := valid_rows(read(write(tmp_path / "set", content), "test"), "keep", labelled=True))
    assert list(found[0])
    assert faults.not_judged == {reason: 1}
    assert not faults.total
