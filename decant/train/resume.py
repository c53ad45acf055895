"""Checkpoints from which a training that was killed goes on, to the same end."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers.base.trainer import BaseTrainer
from torch import nn

from decant.files import read_json, sha256, write_json
from decant.train.distributed import is_main, wait_for_all
from decant.train.lora import adapted

CODE = ("train", "models")  # rooms: a training that goes on under other code could end elsewhere
LIBRARIES = ("torch", "transformers", "sentence-transformers", "accelerate", "tokenizers", "peft")
KEPT = 2
TRAINED = "trained.safetensors"  # of a model with adapters: the weights that are not frozen
ROOT = Path(__file__).parents[1]


def fingerprint(settings: Mapping[str, Any], files: Iterable[Path], model: nn.Module) -> str:
    """Name a training by all that decides its result, in 16 hexadecimal digits.

    They are over the settings, the contents of the files that it reads, the weights of the student before training,
    wherever they came from, the libraries' versions and the code of the rooms `CODE`.
    """
    code = sorted(path for room in CODE for path in (ROOT / room).rglob("*.py"))
    parts = [settings, [version(name) for name in LIBRARIES], [sha256(path) for path in (*files, *code)]]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


class Checkpoints:
    """The checkpoints of one training: folders `checkpoint-<step>`, each whole or not there.

    A checkpoint is the trainer's own; beside it lie the curves, the best model so far and the sum of weights that are
    averaged. The checksums of all its files are written last: a checkpoint without them was being written when the
    process was killed.

    Args:
        folder: whose name is the training's fingerprint; beside it lie those of other fingerprints.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def last(self) -> Path | None:
        """The newest whole checkpoint; broken ones are removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoints = self._all()
        while checkpoints and not _is_whole(checkpoints[-1]):
            shutil.rmtree(checkpoints.pop())
        return checkpoints[-1] if checkpoints else None

    def others(self) -> list[Path]:
        """The folders of the same track's trainings with other settings, inputs or code. They stay."""
        beside = self.folder.parent.iterdir() if self.folder.parent.is_dir() else ()
        return sorted(path for path in beside if path != self.folder)

    def remove(self) -> None:
        """Remove the checkpoints of this training, and the folder above where it is empty then."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.parent.is_dir() and not self.others():
            self.folder.parent.rmdir()

    def path(self, step: int) -> Path:
        """The folder of the checkpoint of a step."""
        return self.folder / f"checkpoint-{step}"

    def commit(self, step: int, curves: Mapping[str, Any], best: Path) -> None:
        """Complete the checkpoint of a step with the curves and the best model until then; keep the newest ones."""
        checkpoint = self.path(step)
        shutil.copytree(best, checkpoint / "best")
        write_json(checkpoint / "curves.json", curves)
        files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
        write_json(checkpoint / "checksums.json", {str(path.relative_to(checkpoint)): sha256(path) for path in files})
        for old in self._all()[:-KEPT]:
            shutil.rmtree(old)

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob("checkpoint-*"), key=step_of)


def step_of(checkpoint: Path) -> int:
    """The optimiser's step that a checkpoint is of."""
    return int(checkpoint.name.rpartition("-")[2])


def _is_whole(checkpoint: Path) -> bool:
    try:
        checksums = read_json(checkpoint / "checksums.json")
        return all(sha256(checkpoint / name) == digest for name, digest in checksums.items())
    except (OSError, ValueError):
        return False


class ResumableTrainer(BaseTrainer):  # type: ignore[misc]
    """A trainer whose checkpoints also hold the loss's weights and the means being logged, which the library's lack.

    The main process calls `commit(step)` after each checkpoint.
    """

    commit: Callable[[int], None]

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:  # noqa: ARG002
        """The model, or what is trained of one with adapters. The library would add a card, and ask the hub for it."""
        assert output_dir is not None
        if adapted(self.model):
            weights = {name: weight.detach() for name, weight in self._trained().items()}
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            save_file(weights, Path(output_dir) / TRAINED)
        else:
            self.model.save_pretrained(output_dir, create_model_card=False, safe_serialization=True)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        if not adapted(self.model):
            super()._load_from_checkpoint(checkpoint_path)
            return
        saved = load_file(Path(checkpoint_path) / TRAINED)
        for name, weight in self._trained().items():
            weight.data.copy_(saved[name])

    def _trained(self) -> dict[str, nn.Parameter]:
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        logged = {
            "loss": self._tr_loss,
            "terms": self.accum_loss_components["train"],
            "step": self._globalstep_last_logged,
            "of_loss": {name: weight.detach() for name, weight in self._weights_of_loss().items()},
        }
        torch.save(logged, Path(output_dir) / f"logged_{self.args.process_index}.pth")

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        if checkpoint is not None:
            path = Path(checkpoint) / f"logged_{self.args.process_index}.pth"
            logged = torch.load(path, map_location="cpu", weights_only=True)
            self._tr_loss += logged["loss"].to(self.args.device)
            terms = {name: term.to(self.args.device) for name, term in logged["terms"].items()}
            self.accum_loss_components["train"] = terms
            self._globalstep_last_logged = logged["step"]
            for name, weight in self._weights_of_loss().items():
                weight.data.copy_(logged["of_loss"][name])

    def _weights_of_loss(self) -> dict[str, nn.Parameter]:
        """What the loss trains beside the model: a projection of embeddings."""
        of_model = {id(weight) for weight in self.model.parameters()}
        return {name: weight for name, weight in self.loss.named_parameters() if id(weight) not in of_model}

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        wait_for_all()
        if is_main():
            self.commit(self.state.global_step)
