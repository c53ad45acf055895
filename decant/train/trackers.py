"""Trackers that show a training while it runs: its loss, its rate, and what dev says."""

import importlib.util
import os
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
        if importlib.util.find_spec(name) is None:
            raise DecantError(f"trackers names {name}, which is not installed", f"pip install {name}")


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

    del resume  # a writer adds to what is there
    return TensorBoardCallback(tb_writer=SummaryWriter(FOLDER / "tensorboard" / run))


def _wandb(run: str, resume: bool) -> TrainerCallback:
    del run, resume  # the trainer's arguments have the name
    return WandbCallback()


def _mlflow(run: str, resume: bool) -> TrainerCallback:
    del run, resume
    return MLflowCallback()
