"""`decant evaluate`: the metrics of any checkpoint on any set."""

import json
from typing import Annotated

import typer

from decant.processes import run_main


def evaluate(
    model: Annotated[str, typer.Option(help="A checkpoint: a folder, or a reference such as hub:owner/name.")],
    dataset: Annotated[str, typer.Option(help="A key of `datasets` in params.yaml.")],
    revision: Annotated[str | None, typer.Option(help="The commit of a hub: or modelscope: model.")] = None,
    split: Annotated[str, typer.Option(help="dev or test.")] = "test",
    dimensions: Annotated[
        list[int] | None, typer.Option(min=1, help="Shorten embeddings to so many numbers as well; repeat it for more.")
    ] = None,
) -> None:
    """Print the metrics of a checkpoint on a set that was fetched.

    Example: decant evaluate --model models/embedding --dataset pydocs
    """

    run_main("decant evaluate", lambda: _evaluate(model, revision, dataset, split, dimensions or []))


def _evaluate(model: str, revision: str | None, dataset: str, split: str, dimensions: list[int]) -> None:
    from decant import paths
    from decant.data.sets import read_split
    from decant.errors import DecantError
    from decant.evaluate.run import evaluate
    from decant.kinds import kind_of
    from decant.params import load_params
    from decant.sources.references import model_folder

    params = load_params(paths.PARAMS)
    if dataset not in {**params.datasets, **params.unions}:
        known = ", ".join((*params.datasets, *params.unions))
        raise DecantError(f"--dataset {dataset}: there is no such set", f"choose one of {known}")
    if split not in ("dev", "test"):
        raise DecantError(f"--split {split}: there is no such split", "choose dev or test")
    path = paths.split(dataset, split)
    if not path.is_file():
        stage = "unite" if dataset in params.unions else "fetch"
        raise DecantError(f"{path} is not there", f"`dvc repro {stage}@{dataset}` makes it")
    folder = model_folder(model if ":" in model else f"path:{model}", revision, None)
    scorer = kind_of(folder).scorer(folder, params.evaluate.batch_tokens)
    run = evaluate(scorer, read_split(path), dimensions)
    named = {name: part.means() for name, part in run.named(dataset).items()} if dimensions else run.means()
    print(json.dumps(named, indent=2))
