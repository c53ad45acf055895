"""`decant report`: the comparison that was written last."""

import os
from pathlib import Path

import typer

from decant import paths
from decant.errors import DecantError
from decant.processes import run_main
from decant.progress import durations

TABLE = paths.REPORT / "table.md"
ACTIVATE = Path(".venv/bin/activate")
NEXT = """\
Next: open the report in a browser. `dvc exp run --temp -n slow -S train.lr=2e-5` trains both students anew, at another
rate; `decant inspect FILE` shows what Decant understands of your file; `decant doctor`, which presets fit here."""


def report() -> None:
    """Print the comparison of the last run, how long its stages took here, and where the report lies.

    Example: decant report
    """

    def main() -> None:
        if not TABLE.is_file():
            raise DecantError(f"{TABLE} is not there", "run `dvc repro`")
        from decant.commands.tables import show

        show(TABLE.read_text(encoding="utf-8"))
        if took := durations():
            longest = sorted(took.items(), key=lambda stage: -stage[1])
            typer.echo(f"Stages, as they ran last here: {_time(sum(took.values()))} in all")
            typer.echo("\n".join(f"  {stage:<28}{_time(seconds):>9}" for stage, seconds in longest) + "\n")
        typer.echo(f"Report: {TABLE.with_name('index.html').absolute()}\n")
        typer.echo(NEXT)
        if ACTIVATE.is_file() and "VIRTUAL_ENV" not in os.environ:
            typer.echo(f"They need the environment: `source {ACTIVATE}`.")

    run_main("decant report", main)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
