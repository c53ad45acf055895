"""Export a student, and measure each format as the student itself is measured."""

import copy
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from decant.data.sets import Split
from decant.errors import DecantError
from decant.evaluate.run import Run as Evaluated
from decant.evaluate.run import evaluate
from decant.evaluate.speed import in_turns, spread
from decant.export.formats import FORMATS, Run
from decant.export.graph import write_onnx
from decant.export.packages import load as load_package
from decant.export.packages import needed
from decant.export.settings import Export, Format
from decant.models.kind import Model, ModelKind
from decant.models.scorer import Scorer

WEIGHTS = (".safetensors", ".bin", ".pt")
CARD = """## Exported

This folder has the model as graphs for ONNX Runtime and OpenVINO, from token ids to what it gives: embeddings of length
1 (`sentence_embedding`) or raw scores (`scores`). The library's own `backend="onnx"` reads graphs of another form.
"""
TOLERANCE = 1e-3  # of a float32 score: what runtimes round otherwise is a hundredth of it, a lost layer is far above


class Exported(NamedTuple):
    """Of each format: what it loses, which does not vary from run to run; and its bytes and speed, which does."""

    metrics: dict[str, Any]
    cost: dict[str, Any]


def export(
    kind: ModelKind,
    load: Callable[[], Model],
    folder: Path,
    settings: Export,
    dev: Split,
    dimensions: Sequence[int],
    tokens: int | None,
    target: Path,
    tell: Callable[[str], None],
) -> Exported:
    """Write a student's formats and what they need beside them: tokenizer, prompts, card.

    Args:
        kind: of the student.
        load: the student in memory, on the CPU, anew at each call.
        folder: of the student.
        settings: which formats, and what they may lose.
        dev: the in-domain dev split: a format is chosen, and nothing is chosen on test splits.
        dimensions: to which the student's embeddings are shortened for evaluations of their own.
        tokens: of a forward pass; see `decant.models.batches.token_budget`.
        target: an empty folder.
        tell: takes each line of progress.

    Returns:
        `metrics`: `map` of the student, and of each format `map`, `loss` (a share of the student's), `difference` (the
        largest between its scores and the student's) and whether it is `kept`; where there are dimensions, with
        `shortened`: `map` and `loss` of each. `cost`: of the student and each kept format `bytes`, pairs a second
        (`speed`), and `ratio`, that of the student's, taken in turns in this process.

    Raises:
        DecantError: a package is missing, torch cannot trace the student, or a float32 format scores otherwise.
    """
    for package in needed(settings.formats):
        load_package(package)
    model = load()
    student = kind.make_scorer(model, tokens)
    before = evaluate(student, dev, dimensions)
    scorers: dict[str, Scorer] = {"student": student}
    sizes = {"student": _bytes(folder, WEIGHTS)}
    told: dict[str, Any] = {**_maps(before), "formats": {}}
    _copy_what_reads_texts(folder, target)
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        graph = Path(scratch) / "model.onnx"
        write_onnx(kind, load(), graph)
        for name in settings.formats:
            runtime, path = FORMATS[name], target / FORMATS[name].file
            path.parent.mkdir(exist_ok=True)
            already = set(path.parent.iterdir())
            runtime.write(graph, path)
            scorer = kind.make_scorer(run_by(model, runtime.open(path), kind.OUTPUT), tokens)
            told["formats"][name] = entry = _compare(name, before, evaluate(scorer, dev, dimensions), settings.max_loss)
            written = set(path.parent.iterdir()) - already
            if entry["kept"]:
                scorers[name], sizes[name] = scorer, sum(part.stat().st_size for part in written)
            for part in written if not entry["kept"] else ():
                part.unlink()
            tell(_told(name, entry, settings.max_loss))
    speeds = in_turns(scorers, dev)
    ratios = {
        name: [mine / own for mine, own in zip(of, speeds["student"], strict=True)] for name, of in speeds.items()
    }
    cost = {
        name: {"bytes": sizes[name], "speed": spread(speeds[name], 1), "ratio": spread(ratios[name], 3)}
        for name in scorers
    }
    return Exported(told, cost)


def run_by(model: Model, run: Run, output: str) -> Model:
    """A model with its tokenizer and prompts, whose outputs, by this name, come from an exported file."""

    def forward(features: Mapping[str, Tensor], **_: Any) -> dict[str, Tensor]:
        arrays = {name: each.numpy() for name, each in features.items() if isinstance(each, Tensor)}
        return {**features, output: torch.from_numpy(run(arrays)).reshape(len(arrays["input_ids"]), -1)}

    other = copy.copy(model)  # it shares all modules: the weights are in memory once
    other.forward = forward
    return other


def _compare(name: Format, before: Evaluated, after: Evaluated, max_loss: float) -> dict[str, Any]:
    difference = float(np.abs(np.concatenate(after.scores) - np.concatenate(before.scores)).max())
    if FORMATS[name].exact and difference > TOLERANCE:
        raise DecantError(
            f"{name}: scores differ from the student's by up to {difference:.3g}, and rounding explains {TOLERANCE:g}",
            "leave it out of `export`'s formats, and report this with the name of the student's model",
        )
    told = _maps(after, before)
    losses = [told["loss"], *(short["loss"] for short in told.get("shortened", {}).values())]
    kept = FORMATS[name].exact or max(losses) <= max_loss
    return {**told, "difference": round(difference, 6), "kept": kept}


def _maps(run: Evaluated, before: Evaluated | None = None) -> dict[str, Any]:
    """Its MAP, and what that loses; the same of shortened embeddings."""
    told = {"map": run.means()["map"]}
    if before is not None:
        whole = before.means()["map"]
        told["loss"] = round((whole - told["map"]) / whole, 6) if whole else 0.0
    short = {str(n): _maps(each, before and before.shortened[n]) for n, each in run.shortened.items()}
    return {**told, "shortened": short} if short else told


def _told(name: str, entry: Mapping[str, Any], max_loss: float) -> str:
    told = {"on dev": entry} | {f"of the first {n} numbers": short for n, short in entry.get("shortened", {}).items()}
    figures = (f"MAP {of['map']:.4f} {where}, {100 * of['loss']:+.2f} % lost" for where, of in told.items())
    reached = f"{name}: {'; '.join(figures)}"
    return reached if entry["kept"] else f"{reached}: not kept, since `max_loss` is {100 * max_loss:g} %"


def _copy_what_reads_texts(folder: Path, target: Path) -> None:
    """The tokenizer, the prompts with the threshold, and the card, with what stands here in place of the weights."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("tokenizer", "vocab", "special_tokens", "merges", "config_sentence_transformers")):
            shutil.copy2(path, target / path.name)
    if (card := folder / "README.md").is_file():
        text = card.read_text(encoding="utf-8").rstrip()
        (target / "README.md").write_text(f"{text}\n\n{CARD}", encoding="utf-8")


def _bytes(folder: Path, suffixes: tuple[str, ...]) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in suffixes)
