"""`decant mteb`: a model on public benchmarks, by their own code."""

from pathlib import Path
from typing import Annotated

import typer

from decant.processes import run_main


def mteb(
    model: Annotated[str, typer.Option(help="A checkpoint: a folder, or a reference such as hub:owner/name.")],
    tasks: Annotated[str | None, typer.Option(help="MTEB's tasks, or module:Class, joined by commas.")] = None,
    nano: Annotated[str | None, typer.Option(help="Sets of NanoBEIR, such as msmarco, by commas; or all.")] = None,
    nano_source: Annotated[str | None, typer.Option(help="Where NanoBEIR is: a hub's name, or a folder.")] = None,
    revision: Annotated[str | None, typer.Option(help="The commit of a hub: or modelscope: model.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the files written; else the last part of the model's.")] = None,
) -> None:
    """Measure a student, a teacher or a baseline on MTEB's tasks and on NanoBEIR.

    A model is read as its folder says, with its own prompts and maximum length. A causal language model is none.

    Writes metrics/public/NAME.json, and NAME.md: the model's card with the results as the hub reads them.

    Examples: decant mteb --model models/embedding --tasks SciFact,NFCorpus; decant mteb --model models/reranker
    --nano all
    """

    def main() -> None:
        from decant import paths
        from decant.errors import DecantError
        from decant.evaluate.public import (
            NANO,
            is_causal_lm,
            run_nano,
            run_tasks,
            tasks_named,
            write_card,
            write_public,
        )
        from decant.kinds import kind_of
        from decant.sources.references import model_folder

        if not tasks and not nano:
            raise DecantError("nothing to measure on", "name --tasks, or --nano all")
        chosen = tasks_named(tasks.split(",")) if tasks else []
        folder = model_folder(model if ":" in model else f"path:{model}", revision, None)
        if is_causal_lm(folder):
            problem = f"{model} is a causal language model, which neither embeds texts nor scores pairs by itself"
            raise DecantError(problem, "name a bi-encoder or a cross-encoder")
        kind = kind_of(folder)
        loaded = kind.models.load(folder)
        results = run_tasks(loaded, chosen)
        if nano:
            results |= run_nano(
                loaded, None if nano == "all" else nano.split(","), nano_source or NANO, embeds=kind.embeds
            )
        called = name or Path(model.rpartition(":")[2]).name
        target = paths.METRICS / "public" / called
        write_public(target.with_name(f"{called}.json"), model, results)
        write_card(target.with_name(f"{called}.md"), folder, called, results)
        for task, result in results.items():
            for split, subsets in result["scores"].items():
                for subset, measures in subsets.items():
                    figures = ", ".join(f"{measure} {value:.4f}" for measure, value in measures.items())
                    print(f"{task}, {split}, {subset}: {figures}")
        print(f"{target}.json and {target}.md are written")

    run_main("decant mteb", main)
