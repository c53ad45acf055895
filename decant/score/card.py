"""The data card of a folder of teacher scores, which `datasets.load_dataset` reads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CARD = """---
configs:
- config_name: default
  data_files:
{configs}
---

# Teacher scores, track {track}

One row a query-candidate pair: `row` (of the set), `query`, `candidate`, `label` (1 positive, 0 negative, null \
unlabelled), `score` (raw float32, never squashed). Written by Decant.

```python
from datasets import load_dataset

scores = load_dataset("path/to/this/folder", split="{first}")
```

## Teacher

{facts}

What it reads of one pair, special tokens included:

```json
{rendered}
```

## Files

| split | data set | queries | pairs | distinct texts | set aside | mean | of positives | of negatives |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
{rows}
{embeddings}
`manifest.json` has the SHA-256 of every file and of the data, the revisions, quantiles and histograms of the scores, \
and the teacher's self-test. Pairs that were set aside stand in `quarantine.jsonl`, with the reasons.
"""
EMBEDDINGS = """
`{file}` has the teacher's embeddings of the texts of {named}: `role` (query or document), `text`, `embedding` \
({dimension} numbers in {precision}), {texts} rows. `load_dataset(…, 'embeddings')` reads it.
"""


def data_card(manifest: Mapping[str, Any]) -> str:
    """README.md of a folder of scores: its files as splits, whose scores they are, of which data, and how to load them.

    The card says nothing that the manifest does not.
    """
    files = {Path(name).stem: file for name, file in manifest["files"].items()}
    teacher, identity = manifest["teacher"], manifest["identity"]
    model = teacher["model"] + (f" at {teacher['revision']}" if teacher["revision"] else "")
    facts = {
        "model": f"`{model}`",
        "kind": identity["kind"],
        "score": _score(identity),
        "engine": ", ".join(sorted({_origin(origin) for file in files.values() for origin in file["origins"]})),
        "dtype": identity["dtype"],
        "maximum length": f"{identity['max_length']} tokens",
        "identity": f"`{identity['model']}`",
    }
    configs = [f"  - split: {name}\n    path: {name}.parquet" for name in files]
    embeddings = ""
    if described := manifest.get("embeddings"):
        configs += ["- config_name: embeddings", f"  data_files: {described['file']}"]
        embeddings = EMBEDDINGS.format(**described, named=" and ".join(described["splits"]))
    return CARD.format(
        configs="\n".join(configs),
        track=manifest["track"],
        first=next(iter(files)),
        facts="\n".join(f"- {name}: {value}" for name, value in facts.items()),
        rendered=json.dumps(manifest["rendered"], indent=2, ensure_ascii=False),
        rows="\n".join(_row(name, file, manifest["data"][name]) for name, file in files.items()),
        embeddings=embeddings,
    )


def _row(name: str, file: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    means = (file["scores"][key] for key in ("mean", "mean_of_positives", "mean_of_negatives"))
    cells = [name, f"{data['dataset']}, {data['split']}", file["queries"], file["pairs"], file["unique_texts"]]
    cells += [file["quarantined"], *("–" if mean is None else f"{mean:.4f}" for mean in means)]
    return f"| {' | '.join(map(str, cells))} |"


def _score(identity: Mapping[str, Any]) -> str:
    return {
        "bi_encoder": f"cosine of the embeddings (kept in {identity['embeddings']})",
        "cross_encoder": "the model's raw logit",
        "causal_lm": "logit(yes) − logit(no)",
    }[identity["kind"]]


def _origin(origin: Mapping[str, Any]) -> str:
    if "several" in origin:
        return ", ".join(map(_origin, origin["several"]))
    return f"imported from {origin['imported']}" if "imported" in origin else str(origin["engine"])
