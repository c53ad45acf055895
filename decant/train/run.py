"""Train a track's student, and the labels-only baseline beside it, in one process or several."""

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from datasets import Dataset

from decant.data.scores import EMBEDDINGS, read_embeddings
from decant.data.sets import read_split, read_task
from decant.errors import DecantError
from decant.files import atomic_file, atomic_folder, read_json, write_json
from decant.models.cuts import described
from decant.models.prompts import choose_prompts
from decant.models.size import model_size
from decant.train.card import model_card
from decant.train.columns import arrow_file, tuples_info
from decant.train.cuts import Cuts, count_cuts
from decant.train.distributed import from_main, is_main, launch
from decant.train.embeddings import TeacherEmbeddings
from decant.train.guard import keep_between
from decant.train.job import Job
from decant.train.resume import Checkpoints, fingerprint
from decant.train.scales import resolve
from decant.train.settings import Loss, Train
from decant.train.threshold import keep_threshold
from decant.train.trainer import Curves, train_student
from decant.train.unions import with_replay

OUTCOME = "outcome.json"
Tell = Callable[[str], None]


class Outputs(NamedTuple):
    """Where a track's training writes."""

    student: Path  # a folder
    baseline: Path  # the folder of the student that is trained on labels alone
    plots: Path  # the folder of the curves
    cost: Path  # what is timed, and the sizes, JSON


def train_track(job: Job, labels_only: bool, outputs: Outputs, command: Sequence[str], tell: Tell) -> None:
    """Train, choose between before and after where a guard set is given, and write students, curves and cost.

    Args:
        job: the training.
        labels_only: whether the baseline is trained too; else its folder says that it is not.
        outputs: each is written whole or not at all.
        command: arguments of the interpreter that lead to `train_here`, to which its options are added.
        tell: prints what happens.

    Raises:
        DecantError: the n-tuples have no labels where the loss needs them, and what `train_student` raises.
    """
    info = tuples_info(job.tuples)
    if not info.labelled and (job.params.loss.label_weight > 0 or labels_only):
        raise DecantError(
            f"{job.track}: the teacher has chosen the n-tuples' positives, so there are no labels for a term on labels",
            f"set {job.track}.loss.label_weight to 0 and baselines.labels_only to false, or use a labelled strategy",
        )
    start = time.perf_counter()
    with arrow_file(job.tuples) as tuples:
        with atomic_folder(outputs.student) as folder:
            curves, checkpoints, cut = _train(job, False, tuples, folder, command, tell)
            seconds = curves.earlier_seconds + time.perf_counter() - start
            points, chosen = keep_between(job, curves.best["map"], folder, tell)
            kept = keep_threshold(job, folder)
            card = model_card(job, curves.dev, curves.average, chosen.alpha, kept, cut, _prompts(folder))
            (folder / "README.md").write_text(card, encoding="utf-8")
            size = model_size(folder)
        with atomic_folder(outputs.baseline) as folder:
            if labels_only:
                checkpoints += _train(job, True, tuples, folder, command, tell).checkpoints
            else:
                (folder / "README.md").write_text("baselines.labels_only is off.\n", encoding="utf-8")
    _write_curve(outputs.plots / "loss.csv", curves.loss, ["step", "loss"])
    _write_curve(outputs.plots / "dev.csv", curves.dev, ["step", "map"])
    _write_curve(outputs.plots / "guard.csv", [point._asdict() for point in points], ["alpha", "in_domain", "guard"])
    cost = {"seconds": round(seconds, 1), "tuples": info.count, **size, "alpha": chosen.alpha, "cut": cut}
    write_json(outputs.cost, cost)
    for each in checkpoints:
        each.remove()
    for dataset, splits in cut.items():
        for split, counts in splits.items():
            if found := described(counts):
                tell(f"{job.track}: of {dataset}, {split}, {found} are longer than the student reads, and are cut")
    first, best = curves.dev[0]["map"], curves.best
    tell(f"{job.track}: dev MAP {first} → {best['map']} at step {best['step']}, {seconds:.0f} s")


class Outcome(NamedTuple):
    """Of a training: its curves, the checkpoints that it has left, and what the student cuts."""

    curves: Curves
    checkpoints: list[Checkpoints]
    cut: Cuts


def _train(job: Job, labels_only: bool, tuples: Path, folder: Path, command: Sequence[str], tell: Tell) -> Outcome:
    """Run `train_here` in this process or in several."""
    if job.params.train.processes == 1:
        train_here(job, labels_only, tuples, folder, tell)
    else:
        options = ["--tuples", str(tuples), "--into", str(folder), *(["--labels-only"] if labels_only else [])]
        launch([*command, *options], job.params.train.processes)
    outcome = read_json(folder / OUTCOME)
    (folder / OUTCOME).unlink()
    checkpoints = [Checkpoints(Path(path)) for path in outcome["checkpoints"]]
    return Outcome(Curves(**outcome["curves"]), checkpoints, outcome["cut"])


def train_here(job: Job, labels_only: bool, tuples: Path, folder: Path, tell: Tell) -> None:
    """Train in this process, alone or as one of several, on what `arrow_file` wrote.

    The main process writes the best checkpoint and, for `train_track`, the outcome into the folder.
    """
    settings: Train = job.params.train
    wanted: Loss = job.params.loss
    if labels_only:
        wanted = wanted.model_copy(update={"label_weight": 1.0, "false_negative_margin": None})
    dev = read_split(job.dev)
    torch.manual_seed(job.seed)
    model = job.models.make_student(job.params.student, job.folder, job.seed)
    scorer = job.models.make_scorer(model, job.batch_tokens)
    student = None if job.params.student.fresh_head else partial(scorer.score, task=next(dev.parts()).task)
    loss = from_main(lambda: resolve(wanted, job.tuples, student, lambda line: tell(f"{job.track}: {line}")))
    inputs, teacher, checkpoints = [job.tuples, job.dev], None, None
    name = f"{job.track}-labels-only" if labels_only else job.track
    if job.scores is not None:
        inputs.append(job.scores / EMBEDDINGS)
        teacher = TeacherEmbeddings(read_embeddings(job.scores))
    if settings.save_steps is not None:
        decides = {
            "seed": job.seed,
            "student": job.params.student.model_dump(),
            "loss": loss.model_dump(),
            "train": settings.model_dump(exclude={"save_steps", "interpolate", "max_loss", "max_below_best"}),
            "batch_tokens": job.batch_tokens,
        }
        checkpoints = Checkpoints(job.resume / name / from_main(lambda: fingerprint(decides, inputs, model)))
        for other in checkpoints.others():
            tell(f"{name}: {other} has checkpoints of other settings, inputs or code. `rm -r {other}` removes them.")
    info = tuples_info(job.tuples)
    dataset = Dataset.from_file(str(tuples))  # mapped: any number of processes share what of it is in memory
    curves = train_student(
        model,
        job.training.make_loss(model, loss, teacher),
        dataset.select(range(info.count - info.replayed)) if labels_only else dataset,
        dev,
        settings,
        folder,
        kind=job.training,
        scorer=scorer,
        task=dev.task if job.guard_dev is None else with_replay(read_task(job.dev), read_task(job.guard_dev)),
        seed=job.seed,
        fresh_head=job.params.student.fresh_head,
        checkpoints=checkpoints,
        steps=settings.steps(info.count),  # the baseline takes as many without the replayed n-tuples
        trackers=job.trackers,
        name=f"{job.resume.name}-{name}",
        tell=tell,
    )
    if is_main():
        left = [str(checkpoints.folder)] if checkpoints else []
        cut = {} if labels_only else count_cuts(job, model)
        write_json(folder / OUTCOME, {"curves": asdict(curves), "checkpoints": left, "cut": cut})


def _prompts(student: Path) -> tuple[str, str]:
    """Those that the library takes from a student's folder."""
    return choose_prompts(read_json(student / "config_sentence_transformers.json").get("prompts", {}))


def _write_curve(path: Path, points: Sequence[Mapping[str, float | None]], names: Sequence[str]) -> None:
    """Write a curve as CSV; without points its header alone, the names that every curve of the kind has."""
    with atomic_file(path) as partial_file, partial_file.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(points[0]) if points else names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(points)
