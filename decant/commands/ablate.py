"""`decant ablate`: a grid of experiments, run through DVC's queue, and its tables."""

from typing import Annotated

import typer


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
    from decant.processes import run_main

    run_main("decant ablate", lambda: _ablate(grid, only, jobs, list_, render))


def _ablate(grid: str, only: str | None, jobs: int, list_all: bool, render: bool) -> None:
    from decant.errors import DecantError
    from decant.experiments.ablations import FOLDER, Ablations

    grids = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if grid not in grids:
        raise DecantError(f"--grid {grid}: there is none", f"choose one of {', '.join(grids)}, the files in {FOLDER}")
    if list_all and render:
        raise DecantError("--list and --render were given", "give one of them")
    ablations = Ablations(grid, jobs, _tell)
    if list_all:
        ablations.list_all()
    elif render:
        ablations.show()
    else:
        ablations.run(only.split(",") if only else ())


def _tell(text: str) -> None:
    print(text, flush=True)
