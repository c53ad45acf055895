"""Score a track's pairs with its teacher: the in-domain train split, the test splits for the teacher's own row, and the
train split of the guard set where it is replayed. Embeddings are kept beside the scores where params want them.

What the score store holds is taken from there, and what it lacks is scored and kept there, shard by shard.
`python -m stages.score embedding --plan` says what that takes, and scores nothing.
`python -m stages.score embedding --import FILE` takes in scores of this teacher that exist already.
"""

import argparse
import importlib
import random
import tempfile
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from decant import paths
from decant.data.scores import EMBEDDINGS
from decant.data.sets import Split, read_rows
from decant.errors import DecantError
from decant.evaluate.speed import pairs_per_second
from decant.files import atomic_folder, write_json
from decant.models.size import model_size
from decant.score.card import data_card
from decant.score.earlier import Earlier, earlier_scores
from decant.score.engines import load_forward
from decant.score.engines.pool import count_engines
from decant.score.output import QUARANTINE, engine_version, quarantine, write_quarantine, write_scores
from decant.score.plan import plan_split, tokens_per_second
from decant.score.prompts.base import TOO_LONG
from decant.score.selftest import Sample, compare_imported, draw_sample, judge, reference_scores
from decant.score.store.embeddings import write_embeddings
from decant.score.store.taking import take_earlier, take_file
from decant.score.teacher import Teacher
from decant.score.work import Work, described_data, never, opened, teacher_spec, wanted_again
from stages import cli

SPEED_ROWS = 1000  # enough for the pairs that the speed is measured on
SAMPLED_ROWS = 64  # that the self-test's pairs are drawn from
SAME_TEACHER = ("kind", "engine", "model", "revision", "max_length", "query_prompt", "document_prompt", "dtype")
UNMEASURED = {"parameters": 0, "bytes": 0, "pairs_per_second": None}  # a teacher that never ran here


def main(track: str) -> None:
    """Write data/scores/<track>/ and data/cost/<track>/teacher.json."""
    params = cli.params()
    block = params.track(track).teacher
    if not never():  # a missing engine is told before a model is downloaded
        engine_version(block.engine, block.server.url)
        if block.engine_pool == "ray":
            importlib.import_module("decant.score.engines.ray_pool")
    with opened(params, track) as work:
        sample = _sample(work)
        if work.missing or work.unread:
            earlier = _take_earlier(work)
            _set_long_aside(work)
            if work.unread:
                _allow(work, earlier)
                _score(work, sample)
            else:
                _complete(work, None, {})
        else:
            print(f"{track}: the store holds the scores of all pairs")
        _check_quarantine(work)
        with atomic_folder(paths.SCORES / track) as partial:
            files = _write(work, sample, partial)
        for name, file in files.items():
            found = ", ".join(f"{key} {value}" for key, value in file["scores"].items())
            print(f"{track} {name}: {file['pairs']} pairs of {file['unique_texts']} texts; {found}")
        write_json(
            paths.COST / track / "teacher.json", work.held.noted("cost").get(params.track(track).in_domain, UNMEASURED)
        )


def _take_earlier(work: Work) -> Earlier:
    """Take the scores in that DVC holds of an earlier revision, and say what is to be done anew, and why."""
    before, without = work.missing, work.without_embedding
    with tempfile.TemporaryDirectory(prefix="decant-earlier-") as scratch:
        earlier = earlier_scores(work.track, Path(scratch) / "scores")
        if earlier.found:
            take_earlier(Path(scratch) / "scores", work.identity, work.prompts, work.held)
    work.look()
    if work.missing < before:
        print(f"{work.track}: {before - work.missing} scores come from the revision that dvc.lock records")
    if work.without_embedding < without:
        print(
            f"{work.track}: {without - work.without_embedding} embeddings come from the revision that dvc.lock records"
        )
    near = work.store.near(work.identity, work.reference)
    if near and not len(work.held.pairs):
        changes = ", ".join(f"{name} ({old!r} → {new!r})" for name, (old, new) in near[1].items())
        print(
            f"{work.track}: the store's {near[0].pairs} scores of {work.reference} differ in {changes}; "
            "they stay there, and all pairs are scored anew"
        )
    return earlier


def _allow(work: Work, earlier: Earlier) -> None:
    """Make sure that a teacher may start.

    Raises:
        DecantError: it may not.
    """
    lacking = [f"{work.missing} pairs have no score yet"] if work.missing else []
    if work.without_embedding:
        lacking.append(
            f"{work.without_embedding} texts have no embedding yet, which {work.track}.teacher.embeddings asks for"
        )
    needed = f"{', and '.join(lacking)}, and a teacher would have to run"
    if never():
        raise DecantError(
            f"{needed}, and DECANT_TEACHER=never forbids it" + (f"; {earlier.fault}" if earlier.fault else ""),
            earlier.remedy
            or f"`dvc pull score@{work.track}` brings its scores, if the remote is right; or unset DECANT_TEACHER"
            + (f"; or set {work.track}.teacher.embeddings to false" if not work.missing else ""),
        )
    now, recorded = work.params.track(work.track).teacher.model_dump(), earlier.teacher or {}
    could_have_come = work.missing or recorded.get("embeddings")
    if earlier.fault and could_have_come and all(recorded.get(field) == now[field] for field in SAME_TEACHER):
        if wanted_again():
            print(f"{work.track}: {earlier.fault}; DECANT_TEACHER=start has the teacher run all the same")
        else:
            raise DecantError(
                f"{needed}, though dvc.lock records this teacher's scores: {earlier.fault}",
                f"{earlier.remedy}; or, to pay for them again, `DECANT_TEACHER=start dvc repro score@{work.track}`",
            )


def _set_long_aside(work: Work) -> None:
    for split in work.splits.values():
        split.set_long_aside(work.params.store.shard)
    _check_quarantine(work)


def _score(work: Work, sample: Sample) -> None:
    """Test the teacher, time it, and have it read what is missing."""
    params, track = work.params, work.track
    block = params.track(track).teacher
    spec = teacher_spec(params, track, weights=True)
    with Teacher(spec) as teacher:
        reference, compared_with = reference_scores(spec, sample)  # before the engines start, which may take all memory
        tested = judge(spec, sample, teacher.score(sample.queries, sample.candidates, sample.task), reference)
        print(f"{track} self-test: {', '.join(f'{key} {value}' for key, value in tested.items())}; {compared_with}")
        if compared := compare_imported(spec, teacher, work.splits.values(), params.seed):
            print(f"{track}: {compared} of the imported scores agree with the teacher's")
        work.held.note("self_test", sample.digest, {**tested, "compared_with": compared_with})
        in_domain = params.track(track).in_domain
        if in_domain not in work.held.noted("cost"):  # first, while no engine has these pairs in its cache
            speed = pairs_per_second(teacher, _without_long(work, "test_in_domain", range(SPEED_ROWS)))
            work.held.note("cost", in_domain, {**model_size(spec.folder), **speed})
        _complete(work, teacher, {"engine": engine_version(block.engine, block.server.url)})


def _complete(work: Work, teacher: Teacher | None, origin: dict[str, Any]) -> None:
    for split in work.splits.values():
        split.look()  # an earlier split may have had the same texts
        split.complete(teacher, work.params.store.shard, work.params.store.embeddings, origin)
    work.look()


def _sample(work: Work) -> Sample:
    """Pairs for the self-test, of train queries that the teacher has room for."""
    rng = random.Random(work.params.seed)
    rows = pq.read_metadata(work.splits["train"].path).num_rows
    chosen = set(rng.sample(range(rows), min(rows, SAMPLED_ROWS)))
    return draw_sample(_without_long(work, "train", chosen), work.params.seed)


def _without_long(work: Work, name: str, numbers: Collection[int]) -> Split:
    """Some rows of a split, those left out whose query leaves no room for a document."""
    split = read_rows(work.splits[name].path, numbers)
    excess = work.prompts.excess([row.query for row in split.rows], split.task)
    return Split([row for row, too_many in zip(split.rows, excess, strict=True) if not too_many], split.task)


def _check_quarantine(work: Work) -> None:
    """Refuse to go on where more pairs than params allow can have no score; the quarantine file then has them all.

    Raises:
        DecantError: of some split.
    """
    most = work.params.store.max_quarantined
    for name, split in work.splits.items():
        if split.lost > most * len(split.positions):
            rows = [row for name, split in work.splits.items() for row in quarantine(split, name)]
            path = work.held.folder / f"quarantine-{work.track}.jsonl"
            write_quarantine(path, rows)
            first = next(row for row in rows if row["split"] == name)
            raise DecantError(
                f"{work.track} {name}: {split.lost} of {len(split.positions)} pairs can have no score, and "
                f"store.max_quarantined allows {most:.2%}; the first is of row {first['row']}, "
                f"{first['query'][:60]!r}: {first['reason']}",
                f"look into {path}, which has them all; {TOO_LONG}; correct the set, or raise store.max_quarantined; "
                "then run again: what is scored is kept",
            )


def _write(work: Work, sample: Sample, folder: Path) -> dict[str, Any]:
    """Write the scores, their manifest, their data card, and what was set aside; return the files' descriptions."""
    files = {}
    for name, split in work.splits.items():
        files[f"{name}.parquet"] = write_scores(split, folder / f"{name}.parquet")
    if lost := [row for name, split in work.splits.items() for row in quarantine(split, name)]:
        write_quarantine(folder / QUARANTINE, lost)
        print(f"{work.track}: {len(lost)} pairs have no score; {paths.SCORES / work.track / QUARANTINE} says why")
    manifest = {
        "track": work.track,
        "teacher": work.params.track(work.track).teacher.model_dump(exclude={"embeddings"}),
        "identity": work.identity,
        "max_length": work.prompts.max_length,
        "rendered": work.prompts.rendered(sample.queries[0], sample.candidates[0], sample.task),
        "self_test": {"sample": sample.digest, **work.held.noted("self_test").get(sample.digest, {})},
        "data": described_data(work),
        "files": files,
    }
    if work.embedded:
        manifest["embeddings"] = described = write_embeddings(work.embedded, folder / EMBEDDINGS)
        kept = f"{described['dimension']} numbers each, {described['precision']}"
        print(f"{work.track}: embeddings of {described['texts']} texts, {kept}")
    else:
        (folder / EMBEDDINGS).touch()  # `train` depends on the file
    write_json(folder / "manifest.json", manifest)
    (folder / "README.md").write_text(data_card(manifest), encoding="utf-8")
    return files


def take(track: str, path: Path) -> None:
    """Take the scores of a file into the store, as this track's teacher's."""
    with opened(cli.params(), track) as work:
        splits = {name: (split.path, split.task) for name, split in work.splits.items()}
        found = take_file(path, splits, work.prompts, work.held)
        print(f"{track}: {found['pairs']} pairs in {path}, {found['new']} of them new to the store")
        for name, split in work.splits.items():
            print(f"{track} {name}: {found[name]} of {len(split.positions)} pairs are in the file")


def plan(track: str) -> None:
    """Print what scoring would take: nothing is scored and nothing written."""
    params = cli.params()
    with opened(params, track) as work:
        plans = {
            name: plan_split(work.prompts, split, params.store.shard, params.seed)
            for name, split in work.splits.items()
        }
        lost = sum(split.lost for split in work.splits.values())
    row = "{:<20} {:>10} {:>12} {:>10} {:>12} {:>8}".format
    print(row(track, "pairs", "unique texts", "to read", "tokens", "scored"))
    for name, split in plans.items():
        share = split.scored / max(1, split.pairs)
        print(row(name, split.pairs, split.unique_texts, split.unread, split.tokens, f"{share:.0%}"))
    if lost:
        print(f"{lost} pairs are not counted: their query leaves no room for a document")
    tokens = sum(split.tokens for split in plans.values())
    if not tokens:
        print("every pair is scored already" if not lost else "there is nothing to read")
    elif never():
        print(f"{tokens} tokens to read; no estimate of the time, since DECANT_TEACHER=never forbids the sample")
    else:
        spec = teacher_spec(params, track, weights=True)
        speed = tokens_per_second(load_forward(spec), list(plans.values()), params.seed)
        engines = count_engines(spec)
        busy = {name: min(engines, -(-split.unread // params.store.shard)) for name, split in plans.items()}
        seconds = sum(split.tokens / speed["tokens_per_second"] / max(1, busy[name]) for name, split in plans.items())
        print(
            f"{tokens} tokens at {speed['tokens_per_second']:.0f} a second (measured on {speed['prompts']} of the "
            f"prompts) on {engines} engine{'s' * (engines > 1)}: about {timedelta(seconds=round(seconds))}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("track", choices=TRACKS)
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--plan", action="store_true", help="say what it takes: texts, pairs, tokens, time")
    other.add_argument(
        "--import", dest="file", type=Path, metavar="FILE", help="take in scores: query, passage, score a row"
    )
    arguments = parser.parse_args()
    if arguments.plan:
        cli.run("score --plan", lambda: plan(arguments.track))
    if arguments.file:
        cli.run("score --import", lambda: take(arguments.track, arguments.file))
    cli.run(f"score@{arguments.track}", lambda: main(arguments.track))
