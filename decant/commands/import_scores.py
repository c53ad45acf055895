"""`decant import`: take in scores of a track's teacher that exist already."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from decant.commands.options import columns_of
from decant.commands.plan import job_of
from decant.errors import DecantError
from decant.processes import run_main

if TYPE_CHECKING:
    from decant.fetch.scored import ScoredFile
    from decant.fetch.scored_run import ScoredRun
    from decant.score.store.taking import Taken
    from decant.score.work import Job, Work

SHOWN = 3  # places


def import_scores(
    track: Annotated[str, typer.Argument(metavar="TRACK", help="whose teacher made the scores")],
    file: Annotated[Path, typer.Argument(help="rows with scores in any layout, or a TREC run", metavar="FILE")],
    format_: Annotated[
        str | None,
        typer.Option(
            "--format", help="flagembedding, tevatron, nemo, scored_pairs or trec-run, where it is not found out right"
        ),
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option(help="score=logit reads the column `logit` as score; may be repeated")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="of a text file, such as gbk")] = None,
    corpus: Annotated[Path | None, typer.Option(help="the texts that rows name by ids alone (id, text)")] = None,
    teacher: Annotated[int | None, typer.Option(help="of an ensemble, the number of the one that made them")] = None,
) -> None:
    """Take the raw scores of a file into the score store, as those of the track's teacher.

    FILE has rows of query, passage and score; pos_scores and neg_scores (FlagEmbedding); a score in each passage
    (Tevatron, NeMo); or is a TREC run (.txt, .trec, .run) with the ids of the track's sets.

    The stage `score` compares some of them with the teacher's own before it mixes the two.

    Examples: `decant import reranker scores.jsonl`, `decant import reranker teacher.run`.
    """

    def main() -> None:
        from decant.fetch.scored import open_scored
        from decant.score.store.taking import take_scores
        from decant.score.work import open_work

        mapped = columns_of(columns)
        with open_work(_job(track, teacher), print) as work:
            paths = list(dict.fromkeys(split.path for split in work.splits.values()))
            scored = open_scored(
                file, paths, layout=format_ or "auto", columns=mapped, encoding=encoding, corpus=corpus
            )
            taken = take_scores(scored, file, work.splits, work.prompts, work.stored)
            work.look()
        for line in (*_counts(work, scored, taken), *_left_out(scored, taken), _outlook(work)):
            print(f"{track}{line}")

    run_main("decant import", main)


def _job(track: str, number: int | None) -> "Job":
    """The job of a track's teacher; of an ensemble, that of the teacher of this number."""
    members = job_of(track).of_members
    if number is None and len(members) == 1:
        number = 1
    if number is None or not 1 <= number <= len(members):
        raise DecantError(
            f"{track} has {len(members)} teacher{'s' * (len(members) > 1)}, and "
            + ("nothing says whose scores these are" if number is None else f"--teacher is {number}"),
            f"set --teacher to the number of the one that made them: {', '.join(members)}",
        )
    return list(members.values())[number - 1]


def _counts(work: "Work", scored: "ScoredFile | ScoredRun", taken: "Taken") -> Iterator[str]:
    yield f": {taken.pairs} pairs with scores in {scored.path} ({scored.layout}), {taken.new} of them new to the store"
    for name, split in work.splits.items():
        yield f" {name}: {taken.covered[name]} of {len(split.positions)} pairs are in the file"


def _left_out(scored: "ScoredFile | ScoredRun", taken: "Taken") -> Iterator[str]:
    """What is odd about the file: what has no score, no text or no split, and scores that look like labels."""
    if scored.without_score:
        yield f": {scored.without_score} pairs in the file have no score, and are not imported"
    if places := scored.without_text:
        yield f": {len(places)} rows name ids without a text, and are not imported{_first(places)}"
    if places := taken.unmatched:
        yield f": {len(places)} pairs match no pair of any split; the store keeps their scores{_first(places)}"
    if scored.like_labels:
        yield ": all scores are low whole numbers, as labels are; a teacher's raw scores are not"


def _first(places: list[str]) -> str:
    return "".join(f"\n  {place}" for place in places[:SHOWN]) + ("\n  …" if len(places) > SHOWN else "")


def _outlook(work: "Work") -> str:
    """Whether the teacher will run, and what becomes of the imported scores then."""
    from decant.score.work import teacher_asked

    if not work.unread:
        made = f", or will have it of embeddings in the store ({work.missing})" if work.missing else ""
        return f": every pair of every split has a score{made}; no teacher will run{_engine_hint(work)}"
    texts = "texts" if work.prompts.of_texts else "pairs"
    missing = f": {work.missing} pairs have no score yet" if work.missing else ": embeddings are wanted too"
    if teacher_asked() == "never":
        return f"{missing}, and DECANT_TEACHER=never forbids the teacher to read what is missing"
    return (
        f"{missing}: the teacher will read {work.unread} {texts}, and `score` first compares some of the imported "
        "scores with its own"
    )


def _engine_hint(work: "Work") -> str:
    """What to do where `score` would ask for an engine that nobody needs."""
    from decant.score.engines.base import engine_version

    try:
        engine_version(work.teacher)
    except DecantError as error:
        return f" ({error.problem}: run `score` with DECANT_TEACHER=never)"
    return ""
