"""What a set's block in params may say, and that reading it loads no library of models or data."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from decant.fetch.settings import DataSet, Mine
from tests.support.project import ROOT

FOUR_LINES = {"source": "path:data/own", "train": "train.jsonl", "test": 200, "task": "Find it"}


def test_a_users_own_set_needs_four_lines():
    settings = DataSet.model_validate(FOUR_LINES)
    assert (settings.format, settings.dev, settings.duplicates, settings.faults) == ("auto", None, "refuse", "refuse")
    for line in FOUR_LINES:
        with pytest.raises(ValidationError, match=f"{line}\n  Field required"):
            DataSet.model_validate({key: value for key, value in FOUR_LINES.items() if key != line})


@pytest.mark.parametrize(
    "changes, fault",
    [
        ({"train": 2000}, "`train` is 2000: name the source's train split or file"),
        ({"test": ""}, "at least 1 character"),
        ({"dev": 0}, "greater than 0"),
        ({"dev": True}, "valid integer"),
        ({"limits": {"test": 5}}, "`limits.test` is for a named split, and `test` names none"),
        ({"limits": {"dev": 5}}, "`limits.dev` is for a named split, and `dev` names none"),
        ({"limits": {"validation": 5}}, "'train', 'dev' or 'test'"),
        ({"splits": {"train": "train.jsonl"}}, "Extra inputs"),
        ({"source": "hub:owner/name"}, "must be pinned to a commit"),
        ({"revision": "0" * 40}, "has none: leave it out"),
        ({"candidates": "run"}, "the one needs the other"),
        ({"run": "run.txt"}, "the one needs the other"),
        ({"candidates": "dense"}, "the one needs the other"),
        ({"candidates": "bm26"}, "'judged', 'listed', 'run', 'bm25' or 'dense'"),
        ({"faults": "ignore"}, "'refuse' or 'drop'"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], fault: str):
    with pytest.raises(ValidationError, match=fault):
        DataSet.model_validate({**FOUR_LINES, **changes})


def test_a_corpus_on_a_hub_is_refused():
    with pytest.raises(ValidationError, match="a corpus is a file on this machine"):
        Mine(method="bm25", corpus="hub:owner/name")


def test_settings_and_references_import_nothing_heavy():
    script = "import sys, decant.fetch.settings, decant.sources.references\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"numpy", "pyarrow", "torch", "transformers", "datasets", "huggingface_hub", "networkx", "sklearn"}
    assert not heavy & set(done.stdout.split())
