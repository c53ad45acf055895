"""Measure what a layer keeps for the backward pass, against the formula of docs/training.md.

    python -m benchmarks.memory

Two models of bge-m3's layer sizes, with two and with four layers, take one batch on the CPU, in training mode: the
difference of what autograd holds is that of two layers. In bfloat16 this is torch's autocast on the CPU, which keeps
what a GPU's keeps, attention aside: its kernels differ.
"""

import torch
from transformers import XLMRobertaConfig, XLMRobertaModel

from decant.models.packing import pack

HIDDEN, INNER, HEADS = 1024, 4096, 16
TEXTS, LENGTH = 8, 64
FORMULA = {"bfloat16": 26 * HIDDEN + 4 * INNER, "float32": 34 * HIDDEN + 8 * INNER}


def held(layers: int, dropout: float, bf16: bool) -> int:
    """The bytes of tensors that autograd keeps in one forward pass, weights left out."""
    sizes = {"hidden_size": HIDDEN, "intermediate_size": INNER, "num_attention_heads": HEADS}
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    config = XLMRobertaConfig(vocab_size=100, num_hidden_layers=layers, **sizes, **rates)
    model = XLMRobertaModel(config, add_pooling_layer=False).train()
    assert pack(model)
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def hold(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights and tensor.ndim > 1 and tensor.shape[-2] == TEXTS * LENGTH:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(5, 100, (TEXTS, LENGTH))
    hooks = torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    del output
    return sum(kept.values())


def main() -> None:
    """Print bytes a token and layer, measured and by the formula."""
    print(
        "| precision | dropout | measured, bytes a token and layer | formula | ratio |\n| --- | --- | --- | --- | --- |"
    )
    for name, formula in FORMULA.items():
        for dropout in (0.1, 0.0):
            more = held(4, dropout, name == "bfloat16") - held(2, dropout, name == "bfloat16")
            measured = more / 2 / (TEXTS * LENGTH)
            print(f"| {name} | {dropout:g} | {measured:,.0f} | {formula:,} | {measured / formula:.2f} |")


if __name__ == "__main__":
    main()
