"""Train a track's student, and the labels-only baseline beside it, in one process or several."""

import csv
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from decant.data.scores import EMBEDDINGS, read_embeddings
from decant.data.sets import read_split
from decant.errors import DecantError
from decant.files import atomic_file, atomic_folder, read_json, write_json
from decant.models.size import model_size
from decant.train.card import model_card
from decant.train.columns import arrow_file, open_dataset, tuples_info
from decant.train.distributed import from_main, is_main, launch
from decant.train.embeddings import TeacherEmbeddings
from decant.train.guard import keep_between
from decant.train.job import Job
from decant.train.resume import Checkpoints, fingerprint
from decant.train.scales import resolve
from decant.train.trainer import Curves, train_student

OUTCOME = "outcome.json"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outputs:
    """Where a track's training writes.

    Args:
        student: the folder of the student.
        baseline: the folder of the student that is trained on labels alone.
        plots: the folder of the curves.
        cost: what is timed, and the sizes, JSON.
    """

    student: Path
    baseline: Path
    plots: Path
    cost: Path


def train_track(job: Job, labels_only: bool, outputs: Outputs, command: Sequence[str], tell: Tell) -> None:
    """Train, choose between before and after where a guard set is given, and write students, curves and cost.

    Args:
        job: the training.
        labels_only: whether the baseline is trained too; else its folder says that it is not.
        outputs: each is written whole or not at all.
        command: arguments of the interpreter that lead to `train_in_group`, to which its options are added.
        tell: prints what happens.

    Raises:
        DecantError: the n-tuples have no labels where the loss needs them, and what `train_student` raises.
    """
    info = tuples_info(job.tuples)
    if not info.labelled and (job.loss.label_weight > 0 or labels_only):
        raise DecantError(
            f"{job.track}: the teacher has chosen the n-tuples' positives, so there are no labels for a term on labels",
            f"set {job.track}.loss.label_weight to 0 and baselines.labels_only to false, or use a labelled strategy",
        )
    start = time.perf_counter()
    with arrow_file(job.tuples) as tuples:
        with atomic_folder(outputs.student) as folder:
            curves, checkpoints = _train(job, False, tuples, folder, command, tell)
            seconds = curves.earlier_seconds + time.perf_counter() - start
            points, chosen = keep_between(job, curves.best["map"], folder, tell)
            (folder / "README.md").write_text(model_card(job, curves.dev, chosen.alpha), encoding="utf-8")
            size = model_size(folder)
        with atomic_folder(outputs.baseline) as folder:
            if labels_only:
                checkpoints += _train(job, True, tuples, folder, command, tell)[1]
            else:
                (folder / "README.md").write_text("baselines.labels_only is off.\n", encoding="utf-8")
    _write_curve(outputs.plots / "loss.csv", curves.loss, ["step", "loss"])
    _write_curve(outputs.plots / "dev.csv", curves.dev, ["step", "map"])
    _write_curve(outputs.plots / "guard.csv", [asdict(point) for point in points], ["alpha", "in_domain", "guard"])
    cost = {"seconds": round(seconds, 1), "tuples": info.count, **size, "alpha": chosen.alpha}
    write_json(outputs.cost, cost)
    for each in checkpoints:
        each.remove()
    first, best = curves.dev[0]["map"], curves.best
    tell(f"{job.track}: dev MAP {first} → {best['map']} at step {best['step']}, {seconds:.0f} s")


def train_in_group(job: Job, labels_only: bool, tuples: Path, folder: Path, tell: Tell) -> None:
    """Train as one of several processes; the main one writes the best checkpoint and the outcome into `folder`."""
    curves, checkpoints = _train_here(job, labels_only, tuples, folder, tell)
    if is_main():
        folders = [[str(each.folder), each.every] for each in checkpoints]
        write_json(folder / OUTCOME, {"curves": asdict(curves), "checkpoints": folders})


def _train(
    job: Job, labels_only: bool, tuples: Path, folder: Path, command: Sequence[str], tell: Tell
) -> tuple[Curves, list[Checkpoints]]:
    """Train in this process or in several; the best checkpoint goes into `folder`. See `_train_here`."""
    if job.train.processes == 1:
        return _train_here(job, labels_only, tuples, folder, tell)
    options = ["--tuples", str(tuples), "--into", str(folder), *(["--labels-only"] if labels_only else [])]
    launch([*command, *options], job.train.processes)
    outcome: dict[str, Any] = read_json(folder / OUTCOME)
    (folder / OUTCOME).unlink()
    return Curves(**outcome["curves"]), [Checkpoints(Path(path), every) for path, every in outcome["checkpoints"]]


def _train_here(
    job: Job, labels_only: bool, tuples: Path, folder: Path, tell: Tell
) -> tuple[Curves, list[Checkpoints]]:
    """Train in this process.

    Args:
        job: the training.
        labels_only: whether the teacher is set aside.
        tuples: an Arrow file; see `decant.train.columns.arrow_file`.
        folder: receives the best checkpoint.
        tell: prints what happens.

    Returns:
        the curves, and the checkpoints that the training has left, if it saves any.
    """
    models, training, settings = job.kind.models, job.kind.training, job.train
    dev = read_split(job.dev)
    torch.manual_seed(job.seed)
    model = models.make_student(job.student, job.folder, job.seed)
    scorer = models.make_scorer(model, job.evaluate.batch_size)

    def score(queries: Sequence[str], candidates: Sequence[str]) -> Any:
        return scorer.score(queries, candidates, dev.task)

    wanted = job.loss
    if labels_only:
        wanted = wanted.model_copy(update={"label_weight": 1.0, "false_negative_margin": None})
    student = None if job.student.fresh_head else score
    loss = from_main(lambda: resolve(wanted, job.tuples, student, lambda line: tell(f"{job.track}: {line}")))
    inputs, teacher = [job.tuples, job.dev], None
    if job.scores is not None:
        inputs.append(job.scores / EMBEDDINGS)
        teacher = TeacherEmbeddings(read_embeddings(job.scores))
    checkpoints = None
    if settings.save_steps is not None:
        decides = {
            "seed": job.seed,
            "student": job.student.model_dump(),
            "loss": loss.model_dump(),
            "train": settings.model_dump(exclude={"save_steps", "interpolate", "max_loss"}),
            "evaluate": job.evaluate.model_dump(),
        }
        name = f"{job.track}-labels-only" if labels_only else job.track
        every = settings.save_steps
        checkpoints = Checkpoints(job.resume / name / from_main(lambda: fingerprint(decides, inputs, model)), every)
        for other in checkpoints.others():
            tell(f"{name}: {other} has checkpoints of other settings, inputs or code. `rm -r {other}` removes them.")
    info = tuples_info(job.tuples)
    dataset = open_dataset(tuples)
    curves = train_student(
        model,
        training.make_loss(model, loss, teacher, settings.processes),
        dataset.select(range(info.count - info.replayed)) if labels_only else dataset,
        dev,
        settings,
        folder,
        kind=training,
        scorer=scorer,
        seed=job.seed,
        checkpoints=checkpoints,
        steps=settings.steps(info.count),  # the baseline takes as many without the replayed n-tuples
        tell=tell,
    )
    return curves, [checkpoints] if checkpoints else []


def _write_curve(path: Path, points: Sequence[Mapping[str, float | None]], names: Sequence[str]) -> None:
    """Write a curve as CSV. Without points it has its header alone: `names`, which every curve of the kind has."""
    with atomic_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(points[0]) if points else names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(points)
