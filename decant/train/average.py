"""The mean of a student's weights at its last evaluations, as in Izmailov et al., arXiv:1803.05407."""

from collections.abc import Collection
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, nn

FILE = "average.safetensors"


class Average:
    """The mean of weights at some steps. The sum is in the main process alone, in float32 in the CPU's memory.

    Args:
        steps: of the optimiser.
    """

    def __init__(self, steps: Collection[int]) -> None:
        self.steps = steps
        self.sum: dict[str, Tensor] = {}

    @torch.no_grad()
    def add(self, step: int, model: nn.Module) -> None:
        """Add the weights, where the step is one of the mean's; of what is no floating-point number the last counts."""
        if step not in self.steps:
            return
        for name, tensor in model.state_dict().items():
            value = tensor.detach().to("cpu", torch.float32 if tensor.is_floating_point() else None, copy=True)
            if value.is_floating_point() and name in self.sum:
                self.sum[name] += value
            else:
                self.sum[name] = value

    @torch.no_grad()
    def set(self, model: nn.Module) -> None:
        """Make a model's weights the mean, in place, in every process of a group; each must call this."""
        for name, tensor in model.state_dict().items():
            if self.sum:
                total = self.sum[name]
                tensor.copy_(total / len(self.steps) if total.is_floating_point() else total)
            if distributed.is_initialized():
                distributed.broadcast(tensor, 0)

    def save(self, checkpoint: Path) -> None:
        """Write the sum until now into the folder of a checkpoint."""
        if self.sum:
            checkpoint.mkdir(parents=True, exist_ok=True)
            save_file(self.sum, checkpoint / FILE)

    def load(self, checkpoint: Path) -> None:
        """Read what `save` wrote."""
        if (checkpoint / FILE).is_file():
            self.sum = load_file(checkpoint / FILE)
