"""What the score store holds: a line a teacher. With --prune, remove one by its name, or all of a model."""

import argparse

from decant.score.store import Listed
from decant.score.work import score_store
from stages import cli

LINE = "{:<18} {:>12} {:>12} {:>10}  {}".format


def show() -> None:
    """Print the teachers in the store, with the number of their scores and the space that they take."""
    store = score_store(cli.params(), "store")
    teachers = store.teachers()
    print(f"{store.folder}: {len(teachers)} teachers, {_size(sum(teacher.bytes for teacher in teachers))}")
    if teachers:
        print(LINE("name", "pairs", "embeddings", "size", "teacher"))
    for teacher in teachers:
        print(LINE(teacher.name, teacher.pairs, teacher.texts, _size(teacher.bytes), _words(teacher)))


def prune(wanted: str) -> None:
    """Remove teachers from the store, and say what went."""
    for teacher in score_store(cli.params(), "store").prune(wanted):
        print(f"removed {teacher.name}: {teacher.pairs} pairs, {_size(teacher.bytes)}, {_words(teacher)}")


def _words(teacher: Listed) -> str:
    of = teacher.identity
    embeddings = f", {of['embeddings']} embeddings" if of["embeddings"] else ""
    prompts = "".join(f", {name} {text!r}" for name, text in of["prompts"].items() if text and name != "pair")
    return (
        f"{teacher.reference} ({of['kind']}, {of['engine']}, {of['dtype']}, {of['max_length']} tokens"
        f"{embeddings}{prompts})"
    )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prune", metavar="NAME", help="a name from the list, or a model's reference")
    arguments = parser.parse_args()
    if arguments.prune:
        cli.run("store --prune", lambda: prune(arguments.prune))
    cli.run("store --list", show)
