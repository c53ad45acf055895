"""Train a student on n-tuples with the sentence-transformers trainers, and keep the best checkpoint by dev MAP."""

import math
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from datasets import Dataset
from sentence_transformers import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.util.distributed import distributed_evaluation
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from decant.data.sets import Split
from decant.errors import DecantError
from decant.evaluate.run import evaluate
from decant.files import read_json
from decant.models.load import transformer_of
from decant.models.scorer import Scorer, resolve_prompts, scorer_of
from decant.progress import progress
from decant.train.chunking import encode_in_chunks
from decant.train.distributed import SharedBatches, cpu_group_arguments, from_main, is_main, wait_for_all
from decant.train.resume import Checkpoints, ResumableTrainer, step_of

TERMS = ("loss", "kl", "margin_mse", "mse", "embed_distill", "lambda", "contrastive")
Student: TypeAlias = SentenceTransformer | CrossEncoder


@dataclass(frozen=True)
class TrainSettings:
    """The fields of `train` in params, and the seed."""

    lr: float
    epochs: float
    batch_size: int
    accumulate: int
    warmup: float
    weight_decay: float
    freeze_embeddings: bool
    dropout: float | None
    evaluations: int
    precision: Literal["auto", "float32", "bfloat16"]
    processes: int
    chunk: int | None
    checkpointing: bool
    save_steps: int | None
    seed: int

    def steps(self, tuples: int) -> int:
        """How many steps of the optimiser `epochs` makes of so many n-tuples."""
        return round(-(-tuples // (self.batch_size * self.accumulate)) * self.epochs)


@dataclass
class Curves:
    """What training logged: (step, loss and its terms), and (step, MAP on dev).

    `earlier_seconds` is the time until the checkpoint from which training went on.
    """

    loss: list[dict[str, float]] = field(default_factory=list)
    dev: list[dict[str, float]] = field(default_factory=list)
    earlier_seconds: float = 0.0

    @property
    def best(self) -> dict[str, float]:
        """The point with the highest dev MAP; the earliest of equals."""
        return max(self.dev, key=lambda point: point["map"])


def choose_precision(wanted: str) -> tuple[bool, str]:
    """Whether to train in bf16, and why."""
    able = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    if wanted == "auto":
        return able, "the GPU has bf16" if able else "no GPU with bf16: float32"
    if wanted == "bfloat16" and torch.cuda.is_available() and not able:
        raise DecantError("train.precision: this GPU has no bf16", "set it to auto or float32")
    return wanted == "bfloat16", "as train.precision says"


def train_student(
    model: Student,
    loss: nn.Module,
    tuples: Dataset,
    dev: Split,
    settings: TrainSettings,
    eval_batch_size: int,
    folder: Path,
    checkpoints: Checkpoints | None = None,
    steps: int | None = None,
) -> Curves:
    """Train, evaluate on dev at the start and `settings.evaluations` times, and save the best checkpoint.

    With `epochs: 0` the start is the only checkpoint. What the model is at the end is of no account:
    `folder` holds the best. In a group of processes (`decant.train.distributed`) each calls this with the same arguments,
    and the main one has the outcome.

    Args:
        model: the student, changed in place.
        loss: see `decant.train.losses`.
        tuples: see `decant.train.columns.trainer_columns`.
        dev: the in-domain dev split.
        settings: of the training.
        eval_batch_size: texts or pairs a forward pass of the evaluation.
        folder: receives the best checkpoint, as safetensors.
        checkpoints: where to go on from, and to save to; None starts anew and saves none.
        steps: of the optimiser, instead of those that `settings.epochs` makes.

    Raises:
        DecantError: the loss or a dev score is not finite.
    """
    start = time.perf_counter()
    curves = Curves()
    keep_best = _KeepBest(scorer_of(model, eval_batch_size), dev, curves, folder)
    model.model_card_data.widget = [{"text": ""}]  # else the trainer draws examples for a card that is not written
    total = settings.steps(len(tuples)) if steps is None else steps
    last = from_main(checkpoints.last) if checkpoints else None
    if last is None:
        with distributed_evaluation(model) as evaluates:
            if evaluates:
                keep_best(model, steps=0)
    else:
        _restore(last, curves, folder)
        print(f"training: goes on from step {step_of(last)} of {total}, saved in {last}")
    if total == 0 or (last is not None and step_of(last) == total):
        return curves

    def commit(step: int) -> None:
        assert checkpoints is not None
        seconds = curves.earlier_seconds + time.perf_counter() - start
        checkpoints.commit(step, {**asdict(curves), "earlier_seconds": seconds}, folder)

    bf16, reason = choose_precision(settings.precision)
    print(f"training: {len(tuples)} n-tuples, {total} steps, {'bf16' if bf16 else 'float32'} ({reason})")
    if settings.freeze_embeddings:
        transformer_of(model).get_input_embeddings().requires_grad_(False)
    if settings.dropout is not None:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = settings.dropout
    if settings.chunk is not None or not torch.cuda.is_available():
        encode_in_chunks(model, settings.chunk)
    with tempfile.TemporaryDirectory(prefix="decant-train-") as scratch:
        trainer = _trainer(
            model,
            loss,
            tuples,
            dev,
            keep_best,
            _Schedule(total, settings.evaluations, checkpoints.every if checkpoints else None, curves),
            {
                "output_dir": str(checkpoints.folder) if checkpoints else scratch,
                "max_steps": total,
                "bf16": bf16,
                "warmup_steps": round(total * settings.warmup),
                "logging_steps": max(1, total // 20),
                **_arguments(settings),
            },
        )
        trainer.commit = commit
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    if checkpoints and is_main():
        commit(total)
    wait_for_all()
    return curves


def _restore(checkpoint: Path, curves: Curves, folder: Path) -> None:
    """Bring back the curves, and the best model into `folder`."""
    held = Curves(**read_json(checkpoint / "curves.json"))
    curves.loss, curves.dev, curves.earlier_seconds = held.loss, held.dev, held.earlier_seconds
    if is_main():
        shutil.copytree(checkpoint / "best", folder, dirs_exist_ok=True)


def _arguments(settings: TrainSettings) -> dict[str, Any]:
    """The library's names for our settings, and what is fixed."""
    return {
        "learning_rate": settings.lr,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulate,
        "weight_decay": settings.weight_decay,
        "gradient_checkpointing": settings.checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if settings.checkpointing else None,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        **cpu_group_arguments(),
    }


def _trainer(
    model: Student,
    loss: nn.Module,
    tuples: Dataset,
    dev: Split,
    evaluator: BaseEvaluator,
    schedule: TrainerCallback,
    arguments: dict[str, Any],
) -> Any:
    common: dict[str, Any] = {
        "model": model,
        "train_dataset": tuples,
        "loss": loss,
        "evaluator": evaluator,
        "callbacks": [schedule],
    }
    if isinstance(model, SentenceTransformer):
        query_prompt, document_prompt = resolve_prompts(model, None, None)
        prompts = dict.fromkeys(tuples.column_names, document_prompt)
        prompts["query"] = query_prompt.replace("{task}", dev.task)
        args: Any = SentenceTransformerTrainingArguments(**arguments, prompts=prompts)
        trainer: Any = _BiEncoderTrainer(args=args, **common)
    else:
        trainer = _CrossEncoderTrainer(args=CrossEncoderTrainingArguments(**arguments), **common)
    trainer.args._n_gpu = min(trainer.args.n_gpu, 1)  # a process has one GPU: `train.processes` takes more
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


class _BiEncoderTrainer(SharedBatches, ResumableTrainer, SentenceTransformerTrainer):  # type: ignore[misc]
    pass


class _CrossEncoderTrainer(SharedBatches, ResumableTrainer, CrossEncoderTrainer):  # type: ignore[misc]
    pass


class _KeepBest(BaseEvaluator):  # type: ignore[misc]
    """Evaluates on dev and saves the model whenever its MAP is the best so far."""

    def __init__(self, scorer: Scorer, dev: Split, curves: Curves, folder: Path) -> None:
        super().__init__()
        self.primary_metric = "map"
        self.scorer, self.dev, self.curves, self.folder = scorer, dev, curves, folder

    def __call__(
        self, model: Student, output_path: str | None = None, epoch: float = -1, steps: int = -1
    ) -> dict[str, float]:
        means = evaluate(self.scorer, self.dev).means()
        best = max((point["map"] for point in self.curves.dev), default=-1.0)
        self.curves.dev.append({"step": steps, "map": means["map"]})
        if means["map"] > best:
            model.save_pretrained(str(self.folder), create_model_card=False, safe_serialization=True)
        return means


class _Schedule(TrainerCallback):  # type: ignore[misc]
    """Evaluates and saves at evenly spaced steps, stops on a broken loss, and shows progress.

    The last step is evaluated, but not saved: there is nothing to go on with.
    """

    def __init__(self, total: int, evaluations: int, save_every: int | None, curves: Curves) -> None:
        self.evaluate_at = {round(total * (number + 1) / evaluations) for number in range(evaluations)}
        self.save_at = set(range(save_every, total, save_every)) if save_every else set()
        self.curves = curves
        self.bar = progress(total, "steps")

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.bar.update(state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.bar.update(1)
        if state.global_step in self.evaluate_at:
            control.should_evaluate = True
        if state.global_step in self.save_at:
            control.should_save = True

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logs: dict[str, float] = kwargs["logs"]
        if "loss" not in logs:
            return
        terms: dict[str, float] = {name: round(float(logs[name]), 6) for name in TERMS if name in logs}
        if not all(math.isfinite(value) for value in terms.values()):
            raise DecantError(
                f"training: the loss is {terms['loss']} at step {state.global_step}",
                "lower train.lr, or look at the teacher's scores in the manifest",
            )
        self.curves.loss.append({"step": state.global_step, **terms})
        self.bar.set_postfix_str(f"loss {terms['loss']:.4f}")

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.bar.close()
