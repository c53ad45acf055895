"""The commands of a page of the documentation, typed one after the other as they stand there."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from tests.support.planted_project import planted_rows
from tests.support.project import ROOT, Project

BLOCK = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GPU = "presets/qwen3"  # in the block of the full recipe, which needs a GPU and the hub
OWN = "data/own/faq.jsonl"
TASK = "Given a question, retrieve the command that answers it"
EDITOR = f"""#!{sys.executable}
import sys
from ruamel.yaml import YAML
yaml = YAML()
with open(sys.argv[1]) as file:
    params = yaml.load(file)
params["datasets"]["faq"]["task"] = {TASK!r}
params["embedding"]["in_domain"] = "faq"
with open(sys.argv[1], "w") as file:
    yaml.dump(params, file)
"""


def commands_of(page: str) -> list[str]:
    """The lines of a page's blocks in order, but for those that hold rows of a file, and the full recipe's.

    FILE stands for a file of one's own.
    """
    blocks = [block for block in _blocks(page) if not block.startswith("{") and GPU not in block]
    # `make test` is what runs the tests that follow pages.
    lines = [line for block in blocks for line in block.splitlines() if line and not line.startswith("make test")]
    return [line.replace(" FILE", f" {OWN}") for line in lines]


def follow(project: Project, page: str, environment: Mapping[str, str]) -> str:
    """Type a page's commands in one shell, which ends at the first that fails; what they print.

    A page that shows a row of the user's own file finds such a file, and an editor that does what the page says. What
    it pushes goes into the folder `remote` beside the project.
    """
    beside = project.folder.parent
    (beside / "editor").write_text(EDITOR)
    (beside / "editor").chmod(0o755)
    for row in (block for block in _blocks(page) if block.startswith("{")):
        others = [
            json.dumps({"query": row.query, "positive": row.positive, "negative": row.negative})
            for row in planted_rows(80, 5, marked=False)
        ]
        (project.folder / OWN).write_text("\n".join([row.strip(), *others, ""]))
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-x", "-c", "\n".join(_with_remote(commands_of(page), beside / "remote"))],
        cwd=project.folder,
        env={**environment, "EDITOR": str(beside / "editor")},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def put_environment(project: Project) -> None:
    """In the place of .venv, the environment that is there already; stages find the slow imports done."""
    path = project.variables()["PATH"]
    folder = project.folder / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/activate").write_text(f'export PATH="{path}"\n')
    for name in ("python", "dvc", "decant"):
        places = (Path(part) / name for part in path.split(os.pathsep))
        (folder / "bin" / name).symlink_to(next(place for place in places if place.exists()))
    (folder / ".installed").touch()


def _with_remote(lines: list[str], folder: Path) -> list[str]:
    """Before `dvc push` comes what docs/sharing.md says; sooner, `score` wants the scores that dvc.lock records."""
    remote = f"dvc remote add --local --default shared {quote(str(folder))}"
    return [typed for line in lines for typed in ([remote, line] if line.startswith("dvc push") else [line])]


def _blocks(page: str) -> list[str]:
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
