"""`decant ablate`: a grid of experiments, run through DVC's queue, and its tables."""

from functools import partial
from typing import Annotated

import typer

from decant.processes import run_main


def ablate(
    grid: Annotated[str, typer.Option(help="A file in ablations/, without its ending.")] = "parts",
    only: Annotated[str | None, typer.Option(help="Run these cells alone, their names joined by commas.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Experiments at a time.")] = 1,
    list_: Annotated[bool, typer.Option("--list", help="Show what is done, and run nothing.")] = False,
    render: Annotated[bool, typer.Option("--render", help="Write the tables anew, and run nothing.")] = False,
) -> None:
    """Run what a grid has and its results lack, in DVC's queue, and write its tables in docs/ablations.md.

    Killed at any point, the same command goes on. A cell that fails is recorded, and tried anew the next time.

    Examples: decant ablate --jobs 2; decant ablate --grid thorough --list
    """

    def main() -> None:
        from decant.errors import DecantError
        from decant.experiments.ablations import FOLDER, Ablations

        grids = sorted(path.stem for path in FOLDER.glob("*.yaml"))
        if grid not in grids:
            known = f"{', '.join(grids)}, the files in {FOLDER}"
            raise DecantError(f"--grid {grid}: there is none", f"choose one of {known}")
        if list_ and render:
            raise DecantError("--list and --render were given", "give one of them")
        ablations = Ablations(grid, jobs, partial(print, flush=True))
        if list_:
            ablations.list_all()
        elif render:
            ablations.show()
        else:
            ablations.run(only.split(",") if only else ())

    run_main("decant ablate", main)
