"""The model card that is written beside a student."""

from collections.abc import Mapping, Sequence

from decant.train.job import Job
from decant.train.losses import LOSSES


def model_card(job: Job, dev: Sequence[Mapping[str, float]], alpha: float) -> str:
    """Describe a student: what it was made of, how it was trained, and its MAP on dev.

    Args:
        job: the training, with the settings that were used.
        dev: (step, MAP on the in-domain dev split) of every evaluation; the best one is the checkpoint.
        alpha: how far the student is on the way from before to after training; see `decant.train.guard`.

    Returns:
        Markdown with the hub's metadata block. It holds nothing that varies from run to run.
    """
    teacher, student, loss, kind = job.teacher, job.student, job.loss, job.kind.training
    best = max(dev, key=lambda point: point["map"])
    curve = "\n".join(f"| {point['step']:.0f} | {point['map']:.4f} |" for point in dev)
    blocks = {"loss": loss, "triplets": job.triplets, "train": job.train}
    settings = "\n".join(f"- {name}.{key}: {value}" for name, block in blocks.items() for key, value in block)
    layers = f", layers {student.layers}" if student.layers is not None else ""
    revision = f", revision {teacher.revision}" if teacher.revision else ""
    trained = f"Trained on `{job.in_domain}` with {LOSSES[loss.name].description}, label weight {loss.label_weight}."
    guarded = (
        f"\nThe kept weights are {alpha:g} of the way from before training to that checkpoint." if alpha < 1 else ""
    )
    return f"""---
library_name: sentence-transformers
pipeline_tag: {kind.PIPELINE}
tags: [distillation, {job.track}]
---

# {job.track} student distilled by Decant

Student: `{student.model}`{layers}. Teacher: `{teacher.model}` ({job.teacher_kind}){revision}.
{trained if job.train.epochs else "Not trained: `train.epochs` is 0."}

```python
from sentence_transformers import {kind.LOADER}

model = {kind.LOADER}("models/{job.track}")
```

## Settings

{settings}
- guard: {job.guard}
- replay: {job.replay}
- seed: {job.seed}

## MAP on the dev split

The checkpoint is that of step {best["step"]:.0f}. Results on the test splits are in `metrics/comparison.json`.{guarded}

| step | MAP |
| --- | --- |
{curve}
"""
