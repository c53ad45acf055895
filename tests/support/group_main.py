"""What tests/train/test_distributed.py runs in several processes: `python group_main.py <case> <folder>`."""

import os
import signal
import sys
from pathlib import Path

import torch

from decant.errors import DecantError
from decant.train.chunking import OUTPUTS
from decant.train.distributed import in_group, is_main, wait_for_all
from decant.train.trainer import Curves
from tests.support.students import bi_encoder, cross_encoder, loss_of, settings, train_on, tuples

MODELS = {"embedding": bi_encoder, "reranker": cross_encoder}


def train_all(folder: Path, chunk: int | None) -> dict[str, Curves]:
    """Train both tracks without dropout on seven n-tuples in batches of four; the last batch of an epoch has three.

    The bi-encoder's embeddings are shortened too.
    """
    curves = {}
    for track, make in MODELS.items():
        model = make()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        dimensions = [128, 32] if track == "embedding" else None
        loss = loss_of(model, student_temperature=0.5, teacher_temperature=0.5, dimensions=dimensions)
        changes = settings(
            lr=1e-5, epochs=3.0, warmup=0.0, average=2, accumulate=2 if track == "reranker" else 1, chunk=chunk
        )
        curves[track] = train_on(model, loss, tuples().select(range(7)), changes, folder / track)
        torch.save(model.state_dict(), folder / f"{track}-{int(os.environ.get('RANK', '0'))}.pt")
    return curves


def main(case: str, folder: Path) -> None:
    if case == "train":
        for chunk in (None, 2):
            each = folder / str(chunk)
            each.mkdir(exist_ok=True)
            wait_for_all()
            curves = train_all(each, chunk)
            if is_main():
                torch.save({track: (of.loss, of.dev, of.average) for track, of in curves.items()}, each / "curves.pt")
        return
    if not is_main():
        if case == "error":
            raise DecantError("the second process: it failed", "mend it")
        if case == "bug":
            raise KeyError(OUTPUTS)
        os.kill(os.getpid(), signal.SIGKILL)
    wait_for_all()


if __name__ == "__main__":
    in_group(lambda: main(sys.argv[1], Path(sys.argv[2])))
