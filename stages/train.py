"""Train a track's student on its n-tuples, and the labels-only baseline beside it where params ask for it."""

import argparse
import csv
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from decant import paths
from decant.data.scores import EMBEDDINGS, read_embeddings
from decant.data.sets import read_split
from decant.errors import DecantError
from decant.files import atomic_file, atomic_folder, read_json, write_json
from decant.models.scorer import scorer_of
from decant.params import Params
from decant.student_old import make_student
from decant.train.card import model_card
from decant.train.columns import arrow_file, open_dataset, tuples_info
from decant.train.distributed import from_main, in_group, is_main, launch
from decant.train.embeddings import TeacherEmbeddings
from decant.train.losses import BiEncoderLoss, CrossEncoderLoss, LossSettings
from decant.train.resume import Checkpoints, fingerprint
from decant.train.scales import teacher_scale, teacher_temperature
from decant.train.trainer import Curves, Student, TrainSettings, train_student
from stages import cli
from stages.guard import keep_between

CURVES = "curves.json"


def main(track: str) -> None:
    """Write models/<track>/, models/<track>-labels-only/, plots/<track>/ and data/cost/<track>/train.json."""
    params = cli.params()
    block = params.track(track)
    path = paths.TRIPLETS / f"{track}.parquet"
    info = tuples_info(path)
    if not info.labelled and (block.loss.label_weight > 0 or params.baselines.labels_only):
        raise DecantError(
            f"{track}: the n-tuples' positives are the teacher's choice, not labels, and a term on labels is asked for",
            f"set {track}.loss.label_weight to 0 and baselines.labels_only to false, or use a labelled strategy",
        )
    start = time.perf_counter()
    with arrow_file(path) as tuples:
        with atomic_folder(paths.MODELS / track) as folder:
            curves = _train(params, track, False, tuples, folder)
            seconds = curves.earlier_seconds + time.perf_counter() - start
            points, chosen = keep_between(params, track, curves.best["map"], folder)
            card = model_card(track, params.model_dump(), curves.dev, chosen.alpha)
            (folder / "README.md").write_text(card, encoding="utf-8")
        with atomic_folder(paths.MODELS / f"{track}-labels-only") as folder:
            if params.baselines.labels_only:
                _train(params, track, True, tuples, folder)
            else:
                (folder / "README.md").write_text("baselines.labels_only is off.\n", encoding="utf-8")
    _write_curve(paths.PLOTS / track / "loss.csv", curves.loss or [{"step": 0, "loss": 0.0}])
    _write_curve(paths.PLOTS / track / "dev.csv", curves.dev)
    _write_curve(paths.PLOTS / track / "guard.csv", [asdict(point) for point in points])
    write_json(paths.COST / track / "train.json", {"seconds": round(seconds, 1), "tuples": info.count})
    for labels_only in (False, True):
        shutil.rmtree(_resume_folder(track, labels_only), ignore_errors=True)
    print(
        f"{track}: dev MAP {curves.dev[0]['map']} → {curves.best['map']} at step {curves.best['step']}, {seconds:.0f} s"
    )


def _train(params: Params, track: str, labels_only: bool, tuples: Path, folder: Path) -> Curves:
    """Train in this process, or in as many as params say, on an Arrow file; the best checkpoint goes into `folder`."""
    processes = params.training(track).processes
    if processes == 1:
        return _train_here(params, track, labels_only, tuples, folder)
    options = ["--tuples", str(tuples), "--into", str(folder), *(["--labels-only"] if labels_only else [])]
    launch(["-W", "ignore::FutureWarning", "-m", "stages.train", track, *options], processes)
    curves = folder / CURVES
    try:
        return Curves(**read_json(curves))
    finally:
        curves.unlink()


def process(track: str, labels_only: bool, tuples: Path, folder: Path) -> None:
    """Train as one of several processes; the main one writes the best checkpoint and the curves into `folder`."""
    curves = _train_here(cli.params(), track, labels_only, tuples, folder)
    if is_main():
        write_json(folder / CURVES, asdict(curves))


def _train_here(params: Params, track: str, labels_only: bool, tuples: Path, folder: Path) -> Curves:
    block, shared = params.track(track), params.training(track)
    inputs = [paths.TRIPLETS / f"{track}.parquet", paths.SETS / block.in_domain / "dev.parquet"]
    dev = read_split(inputs[1])
    torch.manual_seed(params.seed)
    model = make_student(params, track)
    settings = from_main(lambda: _loss_settings(params, track, labels_only, inputs[0], model, dev.task))
    teacher = None
    if block.teacher.embeddings:
        inputs.append(paths.SCORES / track / EMBEDDINGS)
        teacher = TeacherEmbeddings(read_embeddings(paths.SCORES / track))
    info = tuples_info(inputs[0])
    training = TrainSettings(**shared.model_dump(), seed=params.seed)
    checkpoints = None
    if shared.save_steps is not None:
        decides = {
            "seed": params.seed,
            "student": block.student.model_dump(),
            "loss": asdict(settings),
            "train": shared.model_dump(exclude={"save_steps"}),
            "evaluate": params.evaluate.model_dump(),
        }
        resume = _resume_folder(track, labels_only) / from_main(lambda: fingerprint(decides, inputs, model))
        checkpoints = Checkpoints(resume, shared.save_steps)
    return train_student(
        model,
        _loss(model, settings, teacher, shared.processes),
        open_dataset(tuples).select(range(info.count - info.replayed)) if labels_only else open_dataset(tuples),
        dev,
        training,
        params.evaluate.batch_size,
        folder,
        checkpoints,
        training.steps(info.count),  # the baseline takes as many without the replayed n-tuples
    )


def _resume_folder(track: str, labels_only: bool) -> Path:
    return paths.RESUME / "train" / (f"{track}-labels-only" if labels_only else track)


def _loss_settings(
    params: Params, track: str, labels_only: bool, tuples: Path, model: Student, task: str
) -> LossSettings:
    """The loss as params say, with what is `auto` found out from the teacher's scores, and printed."""
    values = params.track(track).loss.model_dump()
    if labels_only:
        values |= {"label_weight": 1.0, "false_negative_margin": None}
    if values["teacher_temperature"] == "auto":
        values["teacher_temperature"] = teacher_temperature(tuples)
        print(f"{track}: loss.teacher_temperature auto: {values['teacher_temperature']:.4g}")
    if values["teacher_scale"] == "auto":
        fresh = track == "reranker" and params.reranker.student.head == "fresh"
        scorer = scorer_of(model, params.evaluate.batch_size)
        values["teacher_scale"] = teacher_scale(
            tuples, None if fresh else lambda queries, candidates: scorer.score(queries, candidates, task)
        )
        print(f"{track}: loss.teacher_scale auto: {values['teacher_scale']:.4g}")
    return LossSettings(**values)


def _loss(model: Student, settings: LossSettings, teacher: TeacherEmbeddings | None, processes: int) -> nn.Module:
    if not isinstance(model, SentenceTransformer):
        return CrossEncoderLoss(model, settings)
    loss = BiEncoderLoss(model, settings, teacher)
    if processes > 1 and settings.name == "embed_distill" and loss.distance.projection is not None:
        raise DecantError(
            f"train.processes: {processes} processes would each train a projection of their own, of the student's "
            f"embeddings ({model.get_embedding_dimension()} numbers) to the teacher's",
            "set train.processes to 1 for this track, or embedding.loss.name to kl",
        )
    return loss


def _write_curve(path: Path, points: Sequence[dict[str, float]]) -> None:
    with atomic_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(points[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(points)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=TRACKS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)  # how the processes of a group are started
    parser.add_argument("--tuples", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--labels-only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.into is None:
        cli.run(f"train@{arguments.track}", lambda: main(arguments.track))
    in_group(lambda: process(arguments.track, arguments.labels_only, arguments.tuples, arguments.into))
