"""The data card of a folder of teacher scores, which `datasets.load_dataset` reads."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2


def data_card(manifest: Mapping[str, Any]) -> str:
    """README.md of a folder of scores: its files as splits, whose scores they are, of what data, how to load them."""
    loader, strict = jinja2.FileSystemLoader(Path(__file__).parent), jinja2.StrictUndefined
    environment = jinja2.Environment(loader=loader, undefined=strict, trim_blocks=True, keep_trailing_newline=True)
    environment.filters["mean"] = lambda value: "–" if value is None else f"{value:.4f}"
    files = {Path(name).stem: file for name, file in manifest["files"].items()}
    whose = {"members": _members(manifest["members"])} if "members" in manifest else _of_one(manifest, files)
    return environment.get_template("card.md.j2").render({"embeddings": None, **manifest, "splits": files, **whose})


def _of_one(manifest: Mapping[str, Any], files: Mapping[str, Any]) -> dict[str, Any]:
    """What the card says of one teacher's scores."""
    origins = {_origin(origin) for file in files.values() for origin in file["origins"]}
    return {
        "members": (),
        "rendered": json.dumps(manifest["rendered"], indent=2, ensure_ascii=False),
        "score": _score(manifest["identity"]),
        "engines": ", ".join(sorted(origins)),
        "cut": [
            {"name": name, "what": what, **count}
            for name, file in files.items()
            for what, count in file["cut"].items()
            if count["cut"]
        ],
    }


def _members(members: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the card says of each teacher of an ensemble."""
    return [{**member, "score": _score(member["identity"])} for member in members]


def _score(identity: Mapping[str, Any]) -> str:
    return {
        "bi_encoder": f"cosine of the embeddings (kept in {identity['embeddings']})",
        "cross_encoder": "the model's raw logit",
        "causal_lm": _answers(*(identity.get("prompts") or {}).get("answers", ("yes", "no"))),
    }[identity["kind"]]


def _answers(yes: str, no: str | None) -> str:
    return f"logit({yes})" if no is None else f"logit({yes}) − logit({no})"


def _origin(origin: Mapping[str, Any]) -> str:
    if "several" in origin:
        return ", ".join(map(_origin, origin["several"]))
    return f"imported from {origin['imported']}" if "imported" in origin else str(origin["engine"])
