"""`decant store`: what the score store holds."""

from typing import TYPE_CHECKING, Annotated

import typer

from decant import paths
from decant.processes import run_main

if TYPE_CHECKING:
    from decant.score.store import Listed

LINE = "{:<18} {:>12} {:>12} {:>10}  {}"


def store(
    prune: Annotated[
        str | None, typer.Option(help="Remove a teacher by its name in the list, or all of a model.", metavar="NAME")
    ] = None,
) -> None:
    """List the teachers in the score store, with the number of their scores and the space that they take.

    Example: decant store --prune 0123456789abcdef
    """

    def main() -> None:
        from decant.params import load_params
        from decant.score.store import Store
        from decant.score.work import store_folder

        held = Store(store_folder(load_params(paths.PARAMS).store), print)
        if prune is not None:
            for teacher in held.prune(prune):
                print(f"removed {teacher.name}: {teacher.pairs} pairs, {_size(teacher.bytes)}, {_words(teacher)}")
            return
        teachers = held.teachers()
        print(f"{held.folder}: {len(teachers)} teachers, {_size(sum(teacher.bytes for teacher in teachers))}")
        if teachers:
            print(LINE.format("name", "pairs", "embeddings", "size", "teacher"))
        for teacher in teachers:
            print(LINE.format(teacher.name, teacher.pairs, teacher.texts, _size(teacher.bytes), _words(teacher)))

    run_main("decant store", main)


def _words(teacher: "Listed") -> str:
    of = teacher.identity
    words = [of["kind"], of["engine"], of["dtype"], f"{of['max_length']} tokens"]
    words += [f"{of['embeddings']} embeddings"] if of["embeddings"] else []
    words += [f"{name} {text!r}" for name, text in of["prompts"].items() if text and name != "pair"]
    return f"{teacher.reference} ({', '.join(words)})"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
