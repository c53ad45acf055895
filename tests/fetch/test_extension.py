"""One more set format and one more source: each a module and a line in its registry, and nothing else."""

import zipfile
from pathlib import Path

import pytest
from pydantic import ValidationError

from decant.data.sets import Row
from decant.fetch.build import fetch_set
from decant.fetch.readers import FORMATS, Format
from decant.fetch.settings import DataSet
from decant.sources import SCHEMES, Scheme
from decant.sources.references import resolve
from tests.support.fetched_sets import splits_of

TABS = """
def read(root, split, settings, *, repository):
    for number, line in enumerate((root / split).read_text().splitlines(), start=1):
        query, positive, negative = line.split("\\t")
        yield f"{split}, line {number}", {"query": query, "positive": positive, "negative": negative}
"""
ARCHIVE = """
import tempfile, zipfile
from pathlib import Path

def find(reference, revision, kind, patterns):
    folder = Path(tempfile.mkdtemp(dir=Path(reference.removeprefix("zip:")).parent))
    zipfile.ZipFile(reference.removeprefix("zip:")).extractall(folder)
    return folder
"""


def block(source: str) -> DataSet:
    """A set's four lines, and its format."""
    return DataSet(source=source, train="train.tsv", dev="dev.tsv", test="test.tsv", task="Find it", format="tabs")


def test_a_format_and_a_source_are_a_module_and_a_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "own.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for split in ("train", "dev", "test"):
            file.writestr(f"{split}.tsv", f"{split} query\t{split} positive\tnegative\n")
    with pytest.raises(ValidationError, match="'tabs' is no format: choose auto or "):
        block(f"zip:{archive}")
    (tmp_path / "made_up_format.py").write_text(TABS)
    (tmp_path / "made_up_source.py").write_text(ARCHIVE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(FORMATS, "tabs", Format("made_up_format"))
    with pytest.raises(ValidationError, match="a reference cannot begin with `zip:`: write package:… or path:…"):
        block(f"zip:{archive}")
    monkeypatch.setitem(SCHEMES, "zip", Scheme("made_up_source", pinned=False))
    fetch_set("own", block(f"zip:{archive}"), tmp_path / "set")
    assert splits_of(tmp_path / "set") == {
        split: [Row(f"{split} query", [f"{split} positive"], ["negative"])] for split in ("train", "dev", "test")
    }
    assert (resolve(f"zip:{archive}") / "train.tsv").is_file()
