"""`decant compare`: two revisions' checkpoints, query by query."""

from pathlib import Path
from typing import Annotated

import typer

from decant.processes import run_main


def compare(
    first: Annotated[str, typer.Argument(help="A revision, or several seeds' revisions joined by commas.")],
    second: Annotated[str, typer.Argument(help="What it is compared with; the difference is second − first.")],
    track: Annotated[str | None, typer.Option(help="One track; all without it.")] = None,
    model: Annotated[str, typer.Option(help="after, before, teacher, labels_only, baseline or bm25.")] = "after",
    metric: Annotated[str, typer.Option(help="A metric such as map, or all.")] = "map",
    html: Annotated[
        Path | None, typer.Option(help="Also write a page that shows both checkpoints query by query.", metavar="FILE")
    ] = None,
) -> None:
    """Compare the checkpoints of two revisions query by query, in-domain and out-of-domain.

    A revision is a commit, a tag, a branch, a `dvc exp` name, or `workspace`; docs/statistics.md says what is tested.

    Examples: decant compare main workspace; decant compare a0,a1,a2 b0,b1,b2 --metric all;
    decant compare main workspace --html compared.html
    """

    def main() -> None:
        from decant import paths
        from decant.commands.tables import show
        from decant.errors import DecantError
        from decant.evaluate.metrics import METRICS
        from decant.experiments.comparing import compare_revisions
        from decant.params import load_params
        from decant.report.comparison import NAMES

        params = load_params(paths.PARAMS)
        allowed = {"track": list(params.tracks), "model": list(NAMES), "metric": [*METRICS, "all"]}
        for option, value in (("track", track), ("model", model), ("metric", metric)):
            if value is not None and value not in allowed[option]:
                raise DecantError(f"--{option} {value}: there is none", f"choose one of {', '.join(allowed[option])}")
        tracks = list(params.tracks) if track is None else [track]
        metrics = list(METRICS) if metric == "all" else [metric]
        if html is not None:
            from decant.experiments.side_by_side import check_seeds, side_by_side

            check_seeds(first, second)
        comparison = compare_revisions(first, second, tracks, model, metrics, params)
        show(comparison.markdown())
        if html is not None:
            from decant.files import atomic_file

            page = side_by_side(first, second, tracks, model, comparison)
            with atomic_file(html) as partial:
                partial.write_text(page, encoding="utf-8")
            print(f"\nSide by side: {html.absolute()}")

    run_main("decant compare", main)
