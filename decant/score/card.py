"""The data card of a folder of teacher scores, which `datasets.load_dataset` reads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def data_card(manifest: Mapping[str, Any]) -> str:
    """README.md of a folder of scores: its files as splits, whose scores they are, of which data, and how to load them.

    Args:
        manifest: of the folder; the card says nothing that the manifest does not.
    """
    names = [Path(name).stem for name in manifest["files"]]
    teacher, identity = manifest["teacher"], manifest["identity"]
    model = teacher["model"] + (f" at {teacher['revision']}" if teacher["revision"] else "")
    origins = {_origin(origin) for file in manifest["files"].values() for origin in file["origins"]}
    facts = {
        "model": f"`{model}`",
        "kind": identity["kind"],
        "score": _score(identity),
        "engine": ", ".join(sorted(origins)),
        "dtype": identity["dtype"],
        "maximum length": f"{identity['max_length']} tokens",
        "identity": f"`{identity['model']}`",
    }
    lines = [
        "---",
        "configs:",
        "- config_name: default",
        "  data_files:",
        *(f"  - split: {name}\n    path: {name}.parquet" for name in names),
        *_embeddings_config(manifest),
        "---",
        "",
        f"# Teacher scores, track {manifest['track']}",
        "",
        "One row a query-candidate pair: `row` (of the set), `query`, `candidate`, `label` (1 positive, 0 negative, "
        "null unlabelled), `score` (raw float32, never squashed). Written by Decant.",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        f'scores = load_dataset("path/to/this/folder", split="{names[0]}")',
        "```",
        "",
        "## Teacher",
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
        "What it reads of one pair, special tokens included:",
        "",
        "```json",
        json.dumps(manifest["rendered"], indent=2, ensure_ascii=False),
        "```",
        "",
        "## Files",
        "",
        "| split | data set | queries | pairs | distinct texts | set aside | mean | of positives | of negatives |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in names:
        file, data = manifest["files"][f"{name}.parquet"], manifest["data"][name]
        scores = file["scores"]
        means = (_shown(scores[key]) for key in ("mean", "mean_of_positives", "mean_of_negatives"))
        lines.append(
            f"| {name} | {data['dataset']}, {data['split']} | {file['queries']} | {file['pairs']} | "
            f"{file['unique_texts']} | {file['quarantined']} | {' | '.join(means)} |"
        )
    if described := manifest.get("embeddings"):
        lines += [
            "",
            f"`{described['file']}` has the teacher's embeddings of the texts of {' and '.join(described['splits'])}: "
            f"`role` (query or document), `text`, `embedding` ({described['dimension']} numbers in "
            f"{described['precision']}), {described['texts']} rows. `load_dataset(…, 'embeddings')` reads it.",
        ]
    lines += [
        "",
        "`manifest.json` has the SHA-256 of every file and of the data, the revisions, quantiles and histograms of the "
        "scores, and the teacher's self-test. Pairs that were set aside stand in `quarantine.jsonl`, with the reasons.",
    ]
    return "\n".join(lines) + "\n"


def _embeddings_config(manifest: Mapping[str, Any]) -> list[str]:
    if "embeddings" not in manifest:
        return []
    return ["- config_name: embeddings", f"  data_files: {manifest['embeddings']['file']}"]


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


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
