"""Train a student on n-tuples with the sentence-transformers trainers, and keep the best checkpoint by dev MAP."""

import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
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
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from decant.dataset import Split
from decant.engines import Scorer
from decant.engines.sentence_transformers import resolve_prompts, scorer_of
from decant.errors import DecantError
from decant.evaluation import evaluate
from decant.progress import progress

TERMS = ("loss", "kl", "margin_mse", "contrastive")
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
    evaluations: int
    precision: Literal["auto", "float32", "bfloat16"]
    seed: int


@dataclass
class Curves:
    """What training logged: (step, loss and its terms), and (step, MAP on dev)."""

    loss: list[dict[str, float]] = field(default_factory=list)
    dev: list[dict[str, float]] = field(default_factory=list)

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
    triplets: pa.Table,
    dev: Split,
    settings: TrainSettings,
    eval_batch_size: int,
    folder: Path,
) -> Curves:
    """Train, evaluate on dev at the start and `settings.evaluations` times, and save the best checkpoint.

    With `epochs: 0` the start is the only checkpoint. What the model is at the end is of no account:
    `folder` holds the best.

    Args:
        model: the student, changed in place.
        loss: takes (query, positive, k negatives) and the teacher's scores.
        triplets: see `decant.triplets.SCHEMA`; `scores` are scaled as the loss expects them.
        dev: the in-domain dev split.
        settings: of the training.
        eval_batch_size: texts or pairs a forward pass of the evaluation.
        folder: receives the best checkpoint, as safetensors.

    Raises:
        DecantError: the loss or a dev score is not finite.
    """
    curves = Curves()
    keep_best = _KeepBest(scorer_of(model, eval_batch_size), dev, curves, folder)
    model.model_card_data.widget = [{"text": ""}]  # else the trainer draws examples for a card that is not written
    keep_best(model, steps=0)
    steps_per_epoch = -(-triplets.num_rows // (settings.batch_size * settings.accumulate))
    total = round(steps_per_epoch * settings.epochs)
    if total == 0:
        return curves
    bf16, reason = choose_precision(settings.precision)
    print(f"training: {triplets.num_rows} n-tuples, {total} steps, {'bf16' if bf16 else 'float32'} ({reason})")
    with tempfile.TemporaryDirectory(prefix="decant-train-") as scratch:
        arguments: dict[str, Any] = {
            "output_dir": scratch,
            "max_steps": total,
            "learning_rate": settings.lr,
            "per_device_train_batch_size": settings.batch_size,
            "gradient_accumulation_steps": settings.accumulate,
            "warmup_steps": round(total * settings.warmup),
            "weight_decay": settings.weight_decay,
            "bf16": bf16,
            "seed": settings.seed,
            "data_seed": settings.seed,
            "logging_steps": max(1, total // 20),
            "logging_nan_inf_filter": False,
            "save_strategy": "no",
            "eval_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
        }
        common: dict[str, Any] = {
            "model": model,
            "train_dataset": _columns(triplets),
            "loss": loss,
            "evaluator": keep_best,
            "callbacks": [_Schedule(total, settings.evaluations, curves)],
        }
        if isinstance(model, SentenceTransformer):
            query_prompt, document_prompt = resolve_prompts(model, None, None)
            prompts = dict.fromkeys(common["train_dataset"].column_names, document_prompt)
            prompts["query"] = query_prompt.replace("{task}", dev.task)
            trainer: Any = SentenceTransformerTrainer(
                args=SentenceTransformerTrainingArguments(**arguments, prompts=prompts), **common
            )
        else:
            trainer = CrossEncoderTrainer(args=CrossEncoderTrainingArguments(**arguments), **common)
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        trainer.train()
    return curves


def _columns(triplets: pa.Table) -> Dataset:
    """The trainers' columns: query, positive, negative_1 … negative_k, and the teacher's scores as the label."""
    negatives = triplets.column("negatives")
    count = len(negatives[0])
    columns = {"query": triplets.column("query"), "positive": triplets.column("positive")}
    columns |= {f"negative_{index + 1}": pc.list_element(negatives, index) for index in range(count)}
    return Dataset(pa.table({**columns, "label": triplets.column("scores")}))


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
    """Evaluates at evenly spaced steps, the last one included, stops on a broken loss, and shows progress."""

    def __init__(self, total: int, evaluations: int, curves: Curves) -> None:
        self.evaluate_at = {round(total * (number + 1) / evaluations) for number in range(evaluations)}
        self.curves = curves
        self.bar = progress(total, "steps")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.bar.update(1)
        if state.global_step in self.evaluate_at:
            control.should_evaluate = True

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
