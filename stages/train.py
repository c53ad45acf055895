"""Train a track's student on its n-tuples, and the labels-only baseline beside it where params ask for it."""

import argparse
import csv
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from torch import nn

from decant.card import model_card
from decant.dataset import Split, read_split
from decant.errors import DecantError
from decant.files import atomic_file, atomic_folder, write_json
from decant.losses import LabelledKLDivLoss, LabelledMarginMSELoss
from decant.params import Params
from decant.training import Curves, Student, TrainSettings, train_student
from stages import cli
from stages.students import make_student


def main(track: str) -> None:
    """Write models/<track>/, models/<track>-labels-only/, plots/<track>/ and metrics/cost/<track>/train.json."""
    params = cli.params()
    block = params.track(track)
    triplets = pq.read_table(cli.TRIPLETS / f"{track}.parquet")
    dev = read_split(cli.SETS / block.in_domain / "dev.parquet")
    labelled = (triplets.schema.metadata or {}).get(b"labelled") == b"true"
    if not labelled and (block.loss.label_weight > 0 or params.baselines.labels_only):
        raise DecantError(
            f"{track}: the n-tuples' positives are the teacher's choice, not labels, and a term on labels is asked for",
            f"set {track}.loss.label_weight to 0 and baselines.labels_only to false, or use a labelled strategy",
        )
    start = time.perf_counter()
    with atomic_folder(cli.MODELS / track) as folder:
        curves = _train(params, track, block.loss.label_weight, triplets, dev, folder)
        (folder / "README.md").write_text(model_card(track, params.model_dump(), curves.dev), encoding="utf-8")
    seconds = time.perf_counter() - start
    with atomic_folder(cli.MODELS / f"{track}-labels-only") as folder:
        if params.baselines.labels_only:
            _train(params, track, 1.0, triplets, dev, folder)
        else:
            (folder / "README.md").write_text("baselines.labels_only is off.\n", encoding="utf-8")
    _write_curve(cli.PLOTS / track / "loss.csv", curves.loss or [{"step": 0, "loss": 0.0}])
    _write_curve(cli.PLOTS / track / "dev.csv", curves.dev)
    write_json(cli.COST / track / "train.json", {"seconds": round(seconds, 1), "tuples": triplets.num_rows})
    print(
        f"{track}: dev MAP {curves.dev[0]['map']} → {curves.best['map']} at step {curves.best['step']}, {seconds:.0f} s"
    )


def _train(params: Params, track: str, label_weight: float, triplets: pa.Table, dev: Split, folder: Path) -> Curves:
    shared = params.training(track)
    torch.manual_seed(params.seed)
    model = make_student(params, track)
    loss, triplets = _loss(params, track, model, label_weight, triplets)
    return train_student(
        model,
        loss,
        triplets,
        dev,
        TrainSettings(**shared.model_dump(), seed=params.seed),
        params.evaluate.batch_size,
        folder,
    )


def _loss(
    params: Params, track: str, model: Student, label_weight: float, triplets: pa.Table
) -> tuple[nn.Module, pa.Table]:
    """The track's loss, and the n-tuples with the teacher's scores on the scale that it expects."""
    if track == "embedding":
        kl = params.embedding.loss
        return LabelledKLDivLoss(model, kl.student_temperature, kl.teacher_temperature, label_weight), triplets
    scale = params.reranker.loss.teacher_scale
    scores = triplets.column("scores").combine_chunks()
    values = pc.multiply(scores.values, pa.scalar(scale, pa.float32()))
    index = triplets.schema.get_field_index("scores")
    scaled = triplets.set_column(index, "scores", pa.ListArray.from_arrays(scores.offsets, values))
    return LabelledMarginMSELoss(model, label_weight), scaled


def _write_curve(path: Path, points: Sequence[dict[str, float]]) -> None:
    with atomic_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(points[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(points)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=cli.TRACKS)
    arguments = parser.parse_args()
    cli.run(f"train@{arguments.track}", lambda: main(arguments.track))
