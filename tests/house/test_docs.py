"""The documentation's pages: all in the site's navigation, and what they quote is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.project import ROOT

FIRST_RUN = ("first-run.md", "first-run.zh.md")
PAGES = sorted(path.name for path in (ROOT / "docs").glob("*.md"))
QUOTED = re.compile(r"`([^`]+)`")


def in_nav(entries: list[dict[str, object]]) -> list[str]:
    """The pages of a navigation, its sections' among them."""
    pages: list[str] = []
    for entry in entries:
        for inside in entry.values():
            pages += [str(inside)] if isinstance(inside, str) else in_nav(inside)  # type: ignore[arg-type]
    return pages


def test_every_page_is_in_the_navigation_once() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert sorted(in_nav(nav)) == PAGES


def test_the_page_of_commands_is_what_typer_writes(tmp_path: Path) -> None:
    """`make docs` writes it anew."""
    page = tmp_path / "commands.md"
    program = [sys.executable, "-m", "typer", "decant.commands", "utils", "docs", "--name", "decant"]
    subprocess.run([*program, "--title", "Commands", "--output", str(page)], cwd=ROOT, check=True, capture_output=True)
    assert (ROOT / "docs/commands.md").read_text() == page.read_text()


def source() -> str:
    """Decant's code, literals that follow each other joined."""
    files = [*(ROOT / "decant").rglob("*.py"), *(ROOT / "stages").glob("*.py"), ROOT / "Makefile"]
    return re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in files))


def messages() -> list[str]:
    """The parts, between dots, of each message of Decant's own that docs/troubleshooting.md quotes."""
    page = (ROOT / "docs/troubleshooting.md").read_text().partition("\n## DVC\n")[0]
    rows = [line for line in page.splitlines() if line.startswith("| ") and "(DVC)" not in line]
    quoted = [text for row in rows for text in QUOTED.findall(row.split(" | ")[0])]
    return sorted({part.strip() for text in quoted for part in text.split("…") if len(part.strip()) > 3})


@pytest.mark.parametrize("message", messages())
def test_a_message_that_the_docs_explain_is_one_that_decant_has(message: str) -> None:
    assert message in source()


def test_first_run_has_the_same_commands_in_both_languages() -> None:
    blocks = [re.findall(r"```\n(.*?)```", (ROOT / f"docs/{name}").read_text(), re.DOTALL) for name in FIRST_RUN]
    assert blocks[0] == blocks[1]
    assert len(blocks[0]) >= 4
