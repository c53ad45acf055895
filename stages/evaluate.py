"""Evaluate a track's student, teacher or baselines on the test splits, or any checkpoint on any set.

`python -m stages.evaluate embedding after` writes what the pipeline reads;
`python -m stages.evaluate both baseline` the same of the untouched model, for both tracks;
`python -m stages.evaluate --model PATH_OR_REFERENCE --dataset NAME` prints the metrics of a checkpoint.
"""

import argparse
import json
from pathlib import Path

from decant import paths
from decant.data.scores import read_scores, scores_for
from decant.data.sets import Row, Split, read_split
from decant.errors import DecantError
from decant.evaluate.run import Run, evaluate, run_from_scores, write_runs
from decant.evaluate.settings import Baselines
from decant.evaluate.speed import pairs_per_second
from decant.files import read_json, write_json
from decant.models.scorer import Scorer
from decant.models.size import model_size
from decant.params import Params
from decant.score.engines import TeacherSpec
from decant.sources.references import model_folder
from stages import cli

MODELS = ("before", "after", "teacher", "labels_only", "bm25")


def main(track: str, model: str) -> None:
    """Write metrics/<track>/<model>.json and data/runs/<track>/<model>.parquet; for `after` also its cost."""
    params = cli.params()
    block = params.track(track)
    splits = {domain: read_split(paths.SETS / dataset / "test.parquet") for domain, dataset in _domains(params, track)}
    if model == "teacher":
        runs = {domain: _teacher_run(track, domain, split.rows, block.teacher.kind) for domain, split in splits.items()}
    elif _is_off(params.baselines, model):
        runs = {}
    elif model == "bm25":
        from decant.evaluate.bm25 import bm25_run

        runs = {domain: bm25_run(split.rows) for domain, split in splits.items()}
    else:
        runs = _score(params, track, model, splits)
    _write(params, track, model, runs)


def untouched() -> None:
    """Write the same of the untouched model for both tracks. Each set is scored once, whichever tracks rank it."""
    params = cli.params()
    domains = {track: _domains(params, track) for track in TRACKS}
    found: dict[str, Run] = {}
    if params.baselines.model is not None:
        from decant.student_old import checkpoint_scorer

        folder = model_folder(params.baselines.model, params.baselines.revision, None)
        scorer = checkpoint_scorer(folder, params.evaluate.batch_size)
        for dataset in dict.fromkeys(name for pairs in domains.values() for _, name in pairs):
            found[dataset] = evaluate(scorer, read_split(paths.SETS / dataset / "test.parquet"))
    for track, pairs in domains.items():
        _write(params, track, "baseline", {domain: found[name] for domain, name in pairs if name in found})


def _domains(params: Params, track: str) -> list[tuple[str, str]]:
    """The domains that a track is evaluated on, and the data set of each."""
    block = params.track(track)
    sets = {"in_domain": block.in_domain, "out_of_domain": block.out_of_domain}
    return [(domain, dataset) for domain, dataset in sets.items() if dataset is not None]


def _write(params: Params, track: str, model: str, runs: dict[str, Run]) -> None:
    write_runs(paths.RUNS / track / f"{model}.parquet", runs)
    metrics = {domain: run.means() for domain, run in runs.items()}
    write_json(paths.METRICS / track / f"{model}.json", metrics)
    for domain, dataset in _domains(params, track) if runs else ():
        print(f"{track} {model}, {domain} ({dataset}): {metrics[domain]}")


def _is_off(baselines: Baselines, model: str) -> bool:
    return {"labels_only": not baselines.labels_only, "bm25": not baselines.bm25}.get(model, False)


def _teacher_run(track: str, domain: str, rows: list[Row], kind: str) -> Run:
    folder, name = paths.SCORES / track, f"test_{domain}"
    quarantined = read_json(folder / "manifest.json")["files"][f"{name}.parquet"]["quarantined"]
    return run_from_scores(rows, scores_for(read_scores(folder, name), rows, quarantined), kind)


def _score(params: Params, track: str, model: str, splits: dict[str, Split]) -> dict[str, Run]:
    # Slow to import, and the teacher's own row needs none of it.
    from decant.models.scorer import scorer_of
    from decant.score.teacher import Teacher
    from decant.student_old import checkpoint_scorer, make_student

    scorer: Scorer
    student = params.track(track).student
    folder = paths.MODELS / (f"{track}-labels-only" if model == "labels_only" else track)
    if model == "before":
        scorer = scorer_of(make_student(params, track), params.evaluate.batch_size)
    else:
        scorer = checkpoint_scorer(folder, params.evaluate.batch_size, student.trust_remote_code)
    runs = {domain: evaluate(scorer, split) for domain, split in splits.items()}
    if model == "after":
        try:
            speed = pairs_per_second(Teacher(_spec(params, track, folder)), splits["in_domain"])
        except DecantError:  # a teacher refuses queries that are too long; a student cuts them
            speed = pairs_per_second(scorer, splits["in_domain"])
        write_json(paths.COST / track / "after.json", {**model_size(folder), **speed})
    return runs


def _spec(params: Params, track: str, folder: Path) -> TeacherSpec:
    """The student as if it were a teacher, so that both are timed on the same way from texts to scores."""
    student = params.track(track).student
    return TeacherSpec(
        kind="bi_encoder" if track == "embedding" else "cross_encoder",
        engine="sentence-transformers",
        folder=folder,
        max_length=student.max_length,
        query_prompt=None,
        document_prompt=None,
        dtype="float32",
        batch_size=params.evaluate.batch_size,
        trust_remote_code=student.trust_remote_code,
        engines=1,
    )


def evaluate_checkpoint(reference: str, revision: str | None, dataset: str, split: str) -> None:
    """Print the metrics of any checkpoint on a set that was fetched."""
    from decant.student_old import checkpoint_scorer

    params = cli.params()
    if dataset not in params.datasets:
        raise DecantError(f"--dataset {dataset}: there is no such set", f"choose one of {', '.join(params.datasets)}")
    named = reference if ":" in reference else f"path:{reference}"
    scorer = checkpoint_scorer(model_folder(named, revision, None), params.evaluate.batch_size)
    print(json.dumps(evaluate(scorer, read_split(paths.SETS / dataset / f"{split}.parquet")).means(), indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("track", nargs="?", choices=(*TRACKS, "both"))
    parser.add_argument("which", nargs="?", choices=(*MODELS, "baseline"))
    parser.add_argument("--model", help="a checkpoint: a folder, or a reference such as hub:owner/name")
    parser.add_argument("--revision", help="the pinned commit of a hub: or modelscope: model")
    parser.add_argument("--dataset", help="a key of `datasets` in params.yaml")
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    arguments = parser.parse_args()
    if arguments.model and arguments.dataset and not arguments.track:
        cli.run(
            "evaluate --model",
            lambda: evaluate_checkpoint(arguments.model, arguments.revision, arguments.dataset, arguments.split),
        )
    if not (arguments.track and arguments.which) or arguments.model or arguments.dataset:
        parser.error("give a track and a model (embedding after), or --model and --dataset")
    if (arguments.track == "both") != (arguments.which == "baseline"):
        parser.error("`both` and `baseline` go together")
    if arguments.track == "both":
        cli.run("evaluate_baseline", untouched)
    cli.run(f"evaluate_{arguments.which}@{arguments.track}", lambda: main(arguments.track, arguments.which))
