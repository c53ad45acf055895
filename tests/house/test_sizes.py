"""Files stay small enough to be read in one go."""

from pathlib import Path

import pytest

from tests.support.project import ROOT

LIMITS = {
    "params.yaml": 110,
    "dvc.yaml": 265,
    "README.md": 120,
    "presets/*.yaml": 90,
    "stages/*.py": 60,
    "decant/**/*.py": 300,
}


@pytest.mark.parametrize("pattern", LIMITS)
def test_no_file_is_longer_than_it_may_be(pattern: str) -> None:
    paths = list(ROOT.glob(pattern))
    assert paths
    long = {str(path.relative_to(ROOT)): lines(path) for path in paths if lines(path) > LIMITS[pattern]}
    assert long == {}


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")], ids=lambda path: path.name)
def test_lines_of_the_docs_are_at_most_120_characters(path: Path) -> None:
    """Tables aside, which Markdown does not wrap."""
    text = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in text if len(line) > 120 and not line.startswith(("|", "http"))] == []
