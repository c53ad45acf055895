"""Train a student on n-tuples with the sentence-transformers trainers, and keep the best checkpoint by dev MAP."""

import math
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.util.distributed import distributed_evaluation
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from decant.data.sets import Split
from decant.errors import DecantError
from decant.evaluate.run import evaluate
from decant.files import read_json
from decant.models.kind import Model
from decant.models.load import transformer_of
from decant.models.packing import packs
from decant.models.scorer import Scorer
from decant.progress import progress
from decant.train.average import Average
from decant.train.chunking import encode_in_chunks
from decant.train.distributed import from_main, group_size, is_main, wait_for_all
from decant.train.kind import TrainingKind
from decant.train.lora import add_adapters, merge, merged
from decant.train.losses import LOSSES
from decant.train.precision import choose_precision, products_in_tf32
from decant.train.resume import Checkpoints, step_of
from decant.train.settings import Train
from decant.train.unions import of_union, one_set_a_batch


@dataclass
class Curves:
    """What training logged."""

    loss: list[dict[str, float]] = field(default_factory=list)  # step, loss and its terms
    dev: list[dict[str, float]] = field(default_factory=list)  # step, MAP
    earlier_seconds: float = 0.0  # until the checkpoint from which training went on
    average: dict[str, float] | None = None  # the last step, and MAP of the mean of the last weights, where taken

    @property
    def best(self) -> dict[str, float]:
        """The point with the highest dev MAP; the earliest of equals, and the mean of the last weights after all."""
        points = self.dev if self.average is None else [*self.dev, self.average]
        return max(points, key=lambda point: point["map"])


def train_student(
    model: Model,
    loss: nn.Module,
    tuples: Dataset,
    dev: Split,
    settings: Train,
    folder: Path,
    *,
    kind: TrainingKind,
    scorer: Scorer,
    task: str,
    seed: int,
    fresh_head: bool = False,
    checkpoints: Checkpoints | None = None,
    steps: int | None = None,
    trackers: Sequence[str] = (),
    name: str | None = None,
    tell: Callable[[str], None],
) -> Curves:
    """Train, evaluate on dev at the start and `settings.evaluations` times, and save the best checkpoint.

    Where `settings.average` says, the mean of the last ones is a checkpoint as well, evaluated at the end.
    With `epochs: 0` the start is the only checkpoint. In a group of processes (`decant.train.distributed`) each calls
    this with the same arguments, and the main one has the outcome.

    Args:
        model: the student, changed in place; at the end it need not be the best.
        loss: see `TrainingKind.make_loss`.
        tuples: see `decant.train.columns.trainer_columns`.
        dev: the in-domain dev split.
        settings: of the training.
        folder: receives the best checkpoint, as safetensors.
        kind: makes the trainer.
        scorer: of the model, for the evaluations.
        task: of the n-tuples.
        seed: of the order of the n-tuples and of dropout.
        fresh_head: whether the model's head starts from nothing.
        checkpoints: where to go on from, and to save to every `settings.save_steps`; None starts anew and saves none.
        steps: of the optimiser, instead of those that `settings.epochs` makes.
        trackers: that show the training while it runs; see `decant.train.trackers`.
        name: of the training, for these.
        tell: prints what happens.

    Raises:
        DecantError: the loss or a dev score is not finite, the precision is none of this machine's, or a tracker is
            not installed.
    """
    start = time.perf_counter()
    model.model_card_data.widget = [{"text": ""}]  # else the trainer draws examples for a card that is not written
    total = settings.steps(len(tuples)) if steps is None else steps
    last = from_main(checkpoints.last) if checkpoints else None
    done = step_of(last) if last else 0
    curves = Curves(**read_json(last / "curves.json")) if last else Curves()
    bf16, reason = choose_precision(settings.precision, fresh_head)
    evaluate_at = {round(total * (number + 1) / settings.evaluations) for number in range(settings.evaluations)}
    average = Average(sorted(evaluate_at - {0})[-settings.average :] if settings.average else [])
    keep_best = _KeepBest(scorer, dev, curves, average, folder, bf16)
    if last:
        if is_main():
            average.load(last)
            shutil.copytree(last / "best", folder, dirs_exist_ok=True)
        tell(f"training: goes on from step {done} of {total}, saved in {last}")
    else:
        with distributed_evaluation(model) as evaluates:
            if evaluates:
                keep_best(model, steps=0)
    if total in (0, done):
        return curves

    def commit(step: int) -> None:
        assert checkpoints is not None
        seconds = curves.earlier_seconds + time.perf_counter() - start
        average.save(checkpoints.path(step))
        checkpoints.commit(step, {**asdict(curves), "earlier_seconds": seconds}, folder)

    tell(f"training: {len(tuples)} n-tuples, {total} steps, {'bfloat16' if bf16 else 'float32'} ({reason})")
    if settings.freeze_embeddings:
        transformer_of(model).get_input_embeddings().requires_grad_(False)
    if settings.dropout is not None:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = settings.dropout
    if settings.lora is not None:
        tell(f"training: {add_adapters(model, settings.lora)}")
    if settings.chunk is not None or not (packs(transformer_of(model)) or torch.cuda.is_available()):
        encode_in_chunks(model, settings.chunk)
    with tempfile.TemporaryDirectory(prefix="decant-train-") as scratch:
        arguments = _arguments(settings, seed, total, bf16, checkpoints.folder if checkpoints else scratch)
        schedule = _Schedule(total, evaluate_at, settings.save_steps if checkpoints else None, curves)
        common = {"train_dataset": tuples, "loss": loss, "evaluator": keep_best, "callbacks": [schedule]}
        if settings.one_set_a_batch and of_union(tuples):
            arguments["batch_sampler"] = one_set_a_batch(tuples)
        trainer = kind.make_trainer(arguments, task, model=model, **common)
        trainer.args._n_gpu = min(trainer.args.n_gpu, 1)  # a process has one GPU: `train.processes` takes more
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        trainer.commit = commit
        if trackers and is_main():
            from decant.train.trackers import callbacks

            trainer.args.run_name = name
            for callback in callbacks(trackers, str(name), resume=last is not None):
                trainer.add_callback(callback)
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        merge(model)
        if len(average.steps) > 1:
            average.set(model)
            keep_best.at_mean = True
            trainer.evaluate()
            if is_main():
                tell(_mean_told(average, curves))
    if checkpoints and is_main():
        commit(total)
    wait_for_all()
    return curves


def _mean_told(average: Average, curves: Curves) -> str:
    """Whether the mean of the last weights is kept, and both MAPs on dev."""
    assert curves.average is not None
    kept = "kept" if curves.best is curves.average else "not kept"
    best = max(point["map"] for point in curves.dev)
    steps = ", ".join(map(str, average.steps))
    return (
        f"training: the mean of the weights at steps {steps} is {kept}: dev MAP {curves.average['map']}, "
        f"and the best checkpoint's {best}"
    )


def _arguments(settings: Train, seed: int, total: int, bf16: bool, folder: str | Path) -> dict[str, Any]:
    """The library's names for our settings, and what is fixed."""
    on_cpus = group_size() > 1 and not torch.cuda.is_available()
    return {
        "output_dir": str(folder),
        "max_steps": total,
        "bf16": bf16,
        "warmup_steps": round(total * settings.warmup),
        "logging_steps": max(1, total // 20),
        "learning_rate": settings.lr,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulate,
        "weight_decay": settings.weight_decay,
        "gradient_checkpointing": settings.checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if settings.checkpointing else None,
        "seed": seed,
        "data_seed": seed,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "use_cpu": on_cpus,
        "ddp_backend": "gloo" if on_cpus else None,
    }


class _KeepBest(BaseEvaluator):  # type: ignore[misc]
    """Evaluates on dev and saves the model whenever its MAP is the best so far.

    Attributes:
        at_mean: whether the model's weights are the mean of its last ones.
    """

    def __init__(self, scorer: Scorer, dev: Split, curves: Curves, average: Average, folder: Path, bf16: bool) -> None:
        super().__init__()
        self.primary_metric, self.at_mean = "map", False
        self.scorer, self.dev, self.curves, self.folder, self.bf16 = scorer, dev, curves, folder, bf16
        self.average = average

    def __call__(self, model: Model, *_: Any, steps: int, **__: Any) -> dict[str, float]:
        with products_in_tf32(self.bf16):
            means = evaluate(self.scorer, self.dev).means()
        best = max((point["map"] for point in self.curves.dev), default=-1.0)
        point = {"step": steps, "map": means["map"]}
        if self.at_mean:
            self.curves.average = point
        else:
            self.curves.dev.append(point)
        with merged(model):
            if not self.at_mean:
                self.average.add(steps, model)
            if means["map"] > best:
                model.save_pretrained(str(self.folder), create_model_card=False, safe_serialization=True)
        return means


class _Schedule(TrainerCallback):  # type: ignore[misc]
    """Evaluates and saves at its steps, stops on a broken loss, and shows progress.

    The last step is evaluated but not saved: no step follows it.
    """

    def __init__(self, total: int, evaluate_at: set[int], save_every: int | None, curves: Curves) -> None:
        self.evaluate_at = evaluate_at
        self.save_at = set(range(save_every, total, save_every)) if save_every else set()
        self.curves = curves
        self.bar = progress(total, "steps")

    def on_train_begin(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        self.bar.update(state.global_step)

    def on_step_end(self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.bar.update(1)
        if state.global_step in self.evaluate_at:
            control.should_evaluate = True
        if state.global_step in self.save_at:
            control.should_save = True

    def on_log(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **kwargs: Any) -> None:
        logs: dict[str, float] = kwargs["logs"]
        if "loss" not in logs:
            return
        names = ("loss", *LOSSES, "contrastive", "spread")
        terms: dict[str, float] = {name: round(float(logs[name]), 6) for name in names if name in logs}
        if not all(math.isfinite(value) for value in terms.values()):
            raise DecantError(
                f"training: the loss is {terms['loss']} at step {state.global_step}",
                "lower train.lr, or look at the teacher's scores in the manifest",
            )
        self.curves.loss.append({"step": state.global_step, **terms})
        self.bar.set_postfix_str(f"loss {terms['loss']:.4f}")

    def on_train_end(self, _args: TrainingArguments, _state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        self.bar.close()
