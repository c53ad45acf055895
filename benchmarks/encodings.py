"""Texts encoded in training per query: the published triplets against Decant's n-tuples, and what becomes of MAP.

    python -m benchmarks.encodings [--queries 120] [--rates 1e-4 3e-4 1e-3]

On candidates of SciDocs's shape, 5 positives and 25 negatives a query, made of the ICD-10-CM tabular list: a query is
the title of a three-character category, its positives titles of codes of that category, its negatives the titles of
other categories' codes nearest to it by TF-IDF. Train, dev and test share no category.

Baseline: the published embedding recipe's triplets and loss, every positive with every negative (125 triples of three
texts), two-way KL at temperature 1 without labels, with the best of several learning rates on test, to its advantage;
what a small model needs beside them (frozen token embeddings, no dropout, warm-up) is params.yaml's. Against it: the
embedding recipe of params.yaml as it stands, and the n-tuples, loss, guard, epochs and batches of presets/qwen3.yaml,
at params.yaml's rate. Bars of each: at most a tenth of the texts, and no lower MAP. All stages run as in the pipeline,
in a folder of their own.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from ruamel.yaml import YAML
from sklearn.feature_extraction.text import TfidfVectorizer

from decant.data.sets import normalise
from decant.evaluate.run import read_metrics
from decant.fetch.embedded.icd10 import TABULAR_LIST, Code, read_codes
from decant.fetch.splits import allot_groups
from decant.files import read_json
from decant.report.seeds import paired_difference
from decant.report.settings import ReportSettings
from decant.sources.references import resolve

ROOT = Path(__file__).parent.parent
PRESET = "presets/qwen3.yaml"
POSITIVES, NEGATIVES = 5, 25
TRAINING = ("epochs", "batch_size", "interpolate", "max_loss")  # keys of a preset's training that are taken
PUBLISHED: dict[str, Any] = {
    "triplets": {"strategy": "all_pairs", "positives": None, "negatives": 1},
    "loss": {
        "name": "kl",
        "student_temperature": 1.0,
        "teacher_temperature": 1.0,
        "label_weight": 0.0,
        "in_batch": False,
    },
    "guard": None,
    "replay": 0.0,
}


def main() -> None:
    """Run the baseline and the recipe, print ratios and bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=120, help="of the train split")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-4, 3e-4, 1e-3], help="of the baseline")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_set(folder / "data/own", {"train": arguments.queries, "dev": 40, "test": 300})
        params = _params()
        _stages(folder, params, "fetch headings", "fetch cwe", "mine embedding", "score embedding")
        _stages(folder, params, "evaluate embedding before", "evaluate embedding teacher")
        for model in ("before", "teacher"):
            print(f"{model}: MAP {_values(folder, model).mean():.4f}")
        ours = {"params.yaml": _train(folder, params, arguments.queries, "params.yaml")}
        preset = YAML(typ="safe").load(ROOT / PRESET)
        changed = _params({key: preset["embedding"][key] for key in ("triplets", "loss", "guard", "replay")})
        training = {**preset["train"], **(preset["embedding"]["train"] or {})}
        changed["embedding"]["train"] = {key: training[key] for key in TRAINING if key in training}
        ours[PRESET] = _train(folder, changed, arguments.queries, f"n-tuples, loss, guard and epochs of {PRESET}")
        published = {}
        for rate in arguments.rates:
            changed = _params(PUBLISHED)
            changed["embedding"]["train"] = {"lr": rate, "epochs": 1, "batch_size": 16, "interpolate": False}
            published[rate], texts = _train(folder, changed, arguments.queries, f"published, rate {rate:g}")
    rate, best = max(published.items(), key=lambda item: float(item[1].mean()))
    for name, (values, our_texts) in ours.items():
        found = paired_difference(values, best, ReportSettings(), 0)
        print(
            f"{name}: 1 / {texts / our_texts:.1f} of the published texts; bar 1 / 10: {_met(our_texts <= texts / 10)}\n"
            f"{name}: MAP {found.mean:+.4f} ({found.low:+.4f} … {found.high:+.4f}), p {found.p_value:.4f}, against the "
            f"published triplets at their best rate, {rate:g}; bar 0: {_met(found.mean >= 0)}"
        )


def _met(met: bool) -> str:
    return "met" if met else "MISSED"


def _params(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """params.yaml, with the made set for the embedding track, and its blocks changed."""
    params: dict[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
    params["datasets"]["headings"] = {
        "source": "path:data/own",
        "format": "rows",
        **{split: f"{split}.jsonl" for split in ("train", "dev", "test")},
        "max_overlap": 1.0,
        "task": "Given the heading of a category of diagnoses, retrieve the titles of its diagnoses",
    }
    params["embedding"].update(in_domain="headings", out_of_domain=None)
    params["embedding"].update(changes or {})
    return params


def _train(folder: Path, params: dict[str, Any], queries: int, name: str) -> tuple[np.ndarray, float]:
    """Train and test a student; the average precision of each query, and the texts encoded per train query."""
    _stages(folder, params, "triplets embedding", "train embedding", "evaluate embedding after")
    tuples = pq.read_table(folder / "data/triplets/embedding.parquet", columns=["negatives"])["negatives"].to_pylist()
    epochs = {**params["train"], **params["embedding"]["train"]}["epochs"]
    texts = sum(2 + len(negatives) for negatives in tuples) * epochs / queries
    seconds = read_json(folder / "data/cost/embedding/train.json")["seconds"]
    values = _values(folder, "after")
    print(f"{name}: {texts:.1f} texts encoded per query, {seconds:.0f} s, MAP {values.mean():.4f}", flush=True)
    return values, texts


def _values(folder: Path, model: str) -> np.ndarray:
    return read_metrics(folder / f"data/runs/embedding/{model}.parquet")["in_domain"]["headings"]["map"]


def _stages(folder: Path, params: dict[str, Any], *commands: str) -> None:
    YAML().dump(params, folder / "params.yaml")
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", f"stages.{command.split()[0]}", *command.split()[1:]],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{command}:\n{done.stdout}{done.stderr}")


def _write_set(folder: Path, sizes: dict[str, int]) -> None:
    """Write the three splits as JSON lines."""
    codes = list(read_codes(ElementTree.parse(resolve("package:simple_icd_10_cm/data") / TABULAR_LIST).getroot()))
    categories: dict[str, list[Code]] = {}
    for code in codes:
        categories.setdefault(code.category, []).append(code)
    large = {name: len(members) for name, members in categories.items() if len(members) > POSITIVES}
    allotted = allot_groups(large, {"train": 0.45, "dev": 0.1, "test": 0.45}, 0)
    folder.mkdir(parents=True)
    for split, count in sizes.items():
        members = [name for name in large if allotted[name] == split]
        rows = _rows({name: categories[name] for name in members}, random.Random(split), count)
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _rows(categories: dict[str, list[Code]], rng: random.Random, count: int) -> list[dict[str, Any]]:
    titles = {normalise(code.title): code for members in categories.values() for code in members}
    pool = list(titles.values())
    vectorizer = TfidfVectorizer()
    matrix = vectorizer.fit_transform([code.title for code in pool]).T.tocsr()
    rows: list[dict[str, Any]] = []
    for name in rng.sample(list(categories), len(categories)):
        query, *others = categories[name]
        below = sorted({code.title for code in others if normalise(code.title) != normalise(query.title)})
        order = np.argsort(-(vectorizer.transform([query.title]) @ matrix).toarray()[0], kind="stable")
        far = [pool[place].title for place in order if pool[place].category != name][:NEGATIVES]
        if query.name == name and len(below) >= POSITIVES and len(rows) < count:
            rows.append({"query": query.title, "positive": rng.sample(below, POSITIVES), "negative": far})
    if len(rows) < count:
        sys.exit(f"only {len(rows)} of {count} queries can be made")
    return rows


if __name__ == "__main__":
    main()
