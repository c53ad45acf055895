"""Trackers that show a training while it runs: its loss, its rate, and what dev says."""

import importlib.metadata
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState
from transformers.integrations import DVCLiveCallback, MLflowCallback, TensorBoardCallback, WandbCallback

from decant.errors import DecantError

FOLDER = Path("tracking")


def check_trackers(names: Iterable[str]) -> None:
    """Raise a DecantError where a tracker's package, which has the tracker's name, is not installed."""
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise DecantError(f"trackers names {name}, which is not installed", f"pip install {name}") from error


def callbacks(names: Iterable[str], run: str, *, resume: bool) -> list[TrainerCallback]:
    """What tells the trackers, in the main process.

    `dvclive` and `tensorboard` write below tracking/. DVCLive makes neither a dvc.yaml nor an experiment: the pipeline
    has both. `wandb` and `mlflow` write where their own environment variables say, into the project or experiment
    `decant` where these say nothing.

    Args:
        names: of the trackers.
        run: the name of this training.
        resume: whether it goes on from a checkpoint.
    """
    check_trackers(names)
    os.environ.setdefault("WANDB_PROJECT", "decant")
    os.environ.setdefault("MLFLOW_EXPERIMENT_NAME", "decant")
    make = {"dvclive": _dvclive, "tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}
    return [make[name](run, resume) for name in names]


class _Steps(DVCLiveCallback):  # type: ignore[misc]
    """Numbers what it logs by the steps of the optimiser."""

    def on_log(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        self.live.step = state.global_step
        super().on_log(args, state, control, **kwargs)


def _dvclive(run: str, resume: bool) -> TrainerCallback:
    from dvclive.live import Live

    return _Steps(live=Live(str(FOLDER / "dvclive" / run), resume=resume, dvcyaml=None, save_dvc_exp=False))


def _tensorboard(run: str, resume: bool) -> TrainerCallback:
    from torch.utils.tensorboard import SummaryWriter

    folder = FOLDER / "tensorboard" / run
    if not resume:
        shutil.rmtree(folder, ignore_errors=True)  # a writer adds to what is there
    return TensorBoardCallback(tb_writer=SummaryWriter(folder))


class _Finished(WandbCallback):  # type: ignore[misc]
    """Ends its run with the training: another one in this process has a run of its own."""

    def on_train_end(self, *arguments: Any, **options: Any) -> None:
        super().on_train_end(*arguments, **options)
        if self._wandb is not None:
            self._wandb.finish()


def _wandb(run: str, resume: bool) -> TrainerCallback:
    del run, resume  # the trainer's arguments have the name
    return _Finished()


def _mlflow(run: str, resume: bool) -> TrainerCallback:
    del run, resume
    return MLflowCallback()
