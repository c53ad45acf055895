"""The model card that is written beside a student."""

import json
from collections.abc import Mapping, Sequence

from decant.train.cuts import Cuts
from decant.train.job import Job
from decant.train.losses import LOSSES
from decant.train.threshold import Kept

SERVED = {
    "sentence-similarity": """```
text-embeddings-router --model-id {name} --port 8080     # text-embeddings-inference: POST /embed
vllm serve {name} --runner pooling                       # vLLM: POST /v1/embeddings
```""",
    "text-ranking": """```
text-embeddings-router --model-id {name} --port 8080     # text-embeddings-inference: POST /rerank
vllm serve {name} --runner pooling                       # vLLM: POST /rerank
```""",
}


def model_card(
    job: Job,
    dev: Sequence[Mapping[str, float]],
    average: Mapping[str, float] | None,
    alpha: float,
    kept: Kept | None,
    cut: Cuts,
    prompts: tuple[str, str],
) -> str:
    """Describe a student in Markdown with the hub's metadata block. Nothing in it varies from run to run.

    Args:
        job: the training.
        dev: (step, MAP on the in-domain dev split) of every evaluation; the best one is the checkpoint.
        average: the same of the mean of the last ones, where it was taken; the checkpoint where it is better.
        alpha: how far the student is on the way from before to after training; see `decant.train.guard`.
        kept: the threshold from which a best candidate counts as a match, and what it gets right on dev.
        cut: what the student cuts.
        prompts: before a query and before a document.
    """
    params, kind = job.params, job.training
    student, loss = params.student, params.loss
    best = max(dev, key=lambda point: point["map"])
    checkpoint = f"that of step {best['step']:.0f}"
    if average is not None and average["map"] > best["map"]:
        checkpoint = f"the mean of the last {params.train.average}, with a MAP of {average['map']:.4f}"
    curve = "\n".join(f"| {point['step']:.0f} | {point['map']:.4f} |" for point in dev)
    blocks = ("loss", "triplets", "train")
    settings = "\n".join(f"- {name}.{key}: {value}" for name in blocks for key, value in getattr(params, name))
    layers = f", layers {student.layers}" if student.layers is not None else ""
    teachers = " and ".join(
        f"`{teacher.model}` ({teacher.kind})" + (f", revision {teacher.revision}" if teacher.revision else "")
        for teacher in params.teacher.members
    )
    trained = f"Trained on `{params.in_domain}` with {LOSSES[loss.name].description}, label weight {loss.label_weight}."
    between = (
        f"\nThe kept weights are {alpha:g} of the way from before training to that checkpoint." if alpha < 1 else ""
    )
    counted = [
        f"| {dataset}, {split} | {what} | {count['distinct']} | {count['cut']} | {count['share']:.2%} |"
        for dataset, splits in cut.items()
        for split, counts in splits.items()
        for what, count in counts.items()
    ]
    cut_table = "\n".join(counted)
    base = f"base_model: {student.model.removeprefix('hub:')}\n" if student.model.startswith("hub:") else ""
    learnt = [params.in_domain, *([params.guard] if params.guard and params.replay else [])]
    shortened = _shortened(f'{kind.LOADER}("models/{job.track}"', loss.dimensions or ()) if params.train.epochs else ""
    return f"""---
library_name: sentence-transformers
pipeline_tag: {kind.PIPELINE}
tags: [distillation, {job.track}]
{base}---

# {job.track} student distilled by Decant

Student: `{student.model}`{layers}. Teacher: {teachers}.
{trained if params.train.epochs else "Not trained: `train.epochs` is 0."}

```python
from sentence_transformers import {kind.LOADER}

model = {kind.LOADER}("models/{job.track}")
```
{shortened}
## Prompts

{_prompts(prompts)}

## Settings

{settings}
- guard: {params.guard}
- replay: {params.replay}
- seed: {job.seed}

## MAP on the dev split

The checkpoint is {checkpoint}. Results on the test splits are in `metrics/comparison.json`.{between}

| step | MAP |
| --- | --- |
{curve}

## No good match

{_threshold(kept, kind.RAW)}

## Texts that are cut

The student reads {student.max_length} tokens of a text or pair at most, or as many as its model has positions for.

| of | what | distinct | cut | share |
| --- | --- | --- | --- | --- |
{cut_table}

{serving(kind.PIPELINE, f"models/{job.track}")}

## Limits

Trained on {" and ".join(learnt)} alone: on other texts it may be worse than the model that it was made of.
`decant publish {job.track} --to OWNER/NAME` shows this card with the results on the test splits, their intervals, and
the licences of what the student was made of; it uploads nothing unless it is told to.
"""


def serving(pipeline: str, name: str) -> str:
    """The section on how a student is served, by the hub's tag of its pipeline and its folder or repository."""
    return f"## Serving\n\n{SERVED[pipeline].format(name=name)}"


def _prompts(prompts: tuple[str, str]) -> str:
    """What goes before a text, in `config_sentence_transformers.json` too, from where the library takes it."""
    query, document = (f"`{json.dumps(prompt, ensure_ascii=False)}`" if prompt else "nothing" for prompt in prompts)
    task = " `{task}` stands for what the search is for, in one sentence." if "{task}" in "".join(prompts) else ""
    return f"Before a query stands {query}, before a document {document}.{task}"


def _threshold(kept: Kept | None, raw: str) -> str:
    """What the threshold is, and how far it is to be trusted."""
    if kept is None:
        return "No threshold was chosen: on the dev split no score tells matches from others."
    (score, slope, intercept), dev = kept
    return f"""Where "no good match" is an answer too, a best candidate that scores below {score:g} is not shown. Scores
are {raw}. This threshold has the best F1 on the dev split, whose queries are asked twice: as they are, and
with their positives taken away.

| on the dev split | |
| --- | --- |
| positives among what is shown | {dev["match_precision"]:.1%} |
| queries with a positive for which one is shown | {dev["match_recall"]:.1%} |
| queries without their positives for which anything is shown | {dev["shown_without_match"]:.1%} |

`metrics/comparison.json` has the same of the test splits. The probability that a best candidate of the score s is a
match is 1 / (1 + exp(−({slope:g} · s {intercept:+g}))). `config_sentence_transformers.json` has the three numbers under
`decant`.

They hold where half of the queries have a match, as here, and where candidates are found as those of the dev split
were: choose your own where that is otherwise. The dev split chose the weights too, so its figures flatter. Shortened
embeddings score otherwise."""


def _shortened(call: str, dimensions: Sequence[int]) -> str:
    """For which shorter embeddings a student was trained, and how to have them; nothing where there are none."""
    if not dimensions:
        return ""
    return f"""
Trained for shortened embeddings too, of the first {", ".join(map(str, dimensions))} numbers. They are not of length 1:
compare them by their cosines, as `model.similarity` does, or have `encode` normalise them.

```python
model = {call}, truncate_dim={dimensions[0]})
embeddings = model.encode(texts, normalize_embeddings=True)
```
"""
