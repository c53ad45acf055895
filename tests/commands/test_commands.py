"""The `decant` command: what it lists, and that its light parts stay light."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from decant.commands import app
from tests.support.project import ROOT

COMMANDS = (
    "ablate",
    "compare",
    "curve",
    "doctor",
    "evaluate",
    "export-run",
    "import",
    "inspect",
    "mteb",
    "params",
    "plan",
    "publish",
    "report",
    "repro",
    "store",
)
SLOW = ("torch", "transformers", "sentence_transformers", "datasets", "scipy", "dvc", "matplotlib")


def test_every_command_is_listed() -> None:
    assert sorted(str(command.name) for command in app.registered_commands) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_an_example(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])
    assert shown.exit_code == 0
    assert f"decant {command}" in shown.output


@pytest.mark.parametrize("arguments", [["--help"], ["store"], ["params", "--check"]], ids=" ".join)
def test_light_commands_load_no_slow_library(arguments: list[str]) -> None:
    """They answer at once; the libraries of models take seconds."""
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('loaded', sorted(set(sys.modules) & set({SLOW!r}))))\n"
        "from decant.commands import app\n"
        f"app({arguments!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "loaded []"


def test_a_plan_does_without_pandas_and_leaves_it_to_those_who_want_it() -> None:
    code = (
        "import sys, pyarrow\n"
        "from decant.commands.plan import _spare_pandas\n"
        "_spare_pandas()\n"
        "assert pyarrow.array([1, 2]).to_numpy().sum() == 3\n"
        "assert 'pandas' not in sys.modules\n"
        "import pandas\n"
        "assert pandas.DataFrame({'a': [1]}).shape == (1, 1)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
