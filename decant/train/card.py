"""The model card that is written beside a student."""

from collections.abc import Mapping, Sequence
from typing import Any

LIBRARY = {
    "embedding": ("SentenceTransformer", "sentence-similarity"),
    "reranker": ("CrossEncoder", "text-ranking"),
}
LOSSES = {
    "kl": "listwise KL divergence",
    "margin_mse": "MarginMSE",
    "mse": "MSE on scores",
    "embed_distill": "embedding distillation (EmbedDistillLoss)",
    "lambda": "LambdaLoss on the teacher's order",
}


def model_card(track: str, params: Mapping[str, Any], dev: Sequence[Mapping[str, float]], alpha: float) -> str:
    """Describe a student: what it was made of, how it was trained, and its MAP on dev.

    Args:
        track: embedding or reranker.
        params: all of params.yaml, as plain data.
        dev: (step, MAP on the in-domain dev split) of every evaluation; the best one is the checkpoint.
        alpha: how far the student is on the way from before to after training; see `decant.train.guard`.

    Returns:
        Markdown with the hub's metadata block. It holds nothing that varies from run to run.
    """
    block = params[track]
    teacher, student = block["teacher"], block["student"]
    training = {key: params["train"][key] if value is None else value for key, value in block["train"].items()}
    loader, task = LIBRARY[track]
    best = max(dev, key=lambda point: point["map"])
    curve = "\n".join(f"| {point['step']:.0f} | {point['map']:.4f} |" for point in dev)
    groups = {"loss": block["loss"], "triplets": block["triplets"], "guard": block["guard"], "train": training}
    settings = "\n".join(f"- {group}.{key}: {value}" for group, one in groups.items() for key, value in one.items())
    layers = f", layers {student['layers']}" if student["layers"] is not None else ""
    revision = f", revision {teacher['revision']}" if teacher["revision"] else ""
    guarded = (
        f"\nIts weights are {alpha:g} of the way from those before training to that checkpoint's." if alpha < 1 else ""
    )
    return f"""---
library_name: sentence-transformers
pipeline_tag: {task}
tags: [distillation, {track}]
---

# {track} student distilled by Decant

Student: `{student["model"]}`{layers}. Teacher: `{teacher["model"]}` ({teacher["kind"]}){revision}.
Trained on `{block["in_domain"]}` with {LOSSES[block["loss"]["name"]]}, label weight {block["loss"]["label_weight"]}.

```python
from sentence_transformers import {loader}

model = {loader}("models/{track}")
```

## Settings

{settings}
- seed: {params["seed"]}

## MAP on the dev split

The checkpoint is that of step {best["step"]:.0f}. Results on the test splits are in `metrics/comparison.json`.{guarded}

| step | MAP |
| --- | --- |
{curve}
"""
