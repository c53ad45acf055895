"""Several teachers' scores as one: standardised for each query, weighted and added; their embeddings side by side.

Standardised scores of one query are of one scale, whatever their teachers' are, as in Sun et al., Logit Standardization
(arXiv:2403.01569).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from decant.data.pairs import stream_pairs
from decant.data.scores import EMBEDDINGS, Embeddings, read_embeddings
from decant.errors import DecantError
from decant.files import read_json, sha256, write_json
from decant.models.cuts import SIDES, TEXTS_AT_ONCE
from decant.models.scorer import Scores
from decant.score.card import data_card
from decant.score.engines.robust import added
from decant.score.output import QUARANTINE, histogram, statistics, write_pairs, write_quarantine
from decant.score.settings import Ensemble
from decant.score.store import Tell
from decant.score.store.complete import pairs_at
from decant.score.store.taking import MEMBERS
from decant.score.work import Job, Source, store_folder

Rows = npt.NDArray[np.int32]
Vectors = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scored:
    """What one teacher has scored of a track.

    Attributes:
        folder: where its scores are written, with their manifest.
        size: what `decant.score.run.score_track` returns of it.
        scores: of all pairs, by the name of their file, NaN where there is none.
    """

    folder: Path
    size: dict[str, Any]
    scores: Mapping[str, Scores]


def combine(rows: Rows, scores: Sequence[Scores], shares: Sequence[float]) -> Scores:
    """The weighted mean of several teachers' scores, each standardised within its row.

    A score counts as deviations from the mean of the row's pairs that all teachers have scored. A teacher for which
    these are all equal says nothing of the row, and adds 0.

    Args:
        rows: the row of each pair, those of a row one behind the other, shape (pairs,).
        scores: a teacher's each, NaN where it has none, shape (pairs,).
        shares: the teachers' weights, which add up to 1.

    Returns:
        float32, shape (pairs,), NaN where a teacher has no score.
    """
    there = ~np.logical_or.reduce([np.isnan(one) for one in scores])
    combined = np.full(len(rows), np.nan, dtype=np.float32)
    combined[there] = sum(
        share * _standardised(rows[there], one[there]) for one, share in zip(scores, shares, strict=True)
    )
    return combined


def _standardised(rows: Rows, scores: Scores) -> npt.NDArray[np.float64]:
    if not len(rows):
        return np.empty(0)
    first = np.flatnonzero(np.diff(rows, prepend=rows[0] - 1))
    counts = np.diff(first, append=len(rows))
    spread = np.maximum.reduceat(scores, first) > np.minimum.reduceat(scores, first)
    values = scores.astype(np.float64)
    centred = values - np.repeat(np.add.reduceat(values, first) / counts, counts)
    deviations = np.sqrt(np.add.reduceat(centred**2, first) / counts)
    factors = np.divide(1.0, deviations, out=np.zeros(len(first)), where=spread)
    standardised: npt.NDArray[np.float64] = centred * np.repeat(factors, counts)
    return standardised


def side_by_side(vectors: Sequence[Vectors], shares: Sequence[float]) -> Vectors:
    """Several teachers' embeddings of the same texts as one, of unit length.

    Each teacher's, of unit length, times the square root of its share: so the cosine of two such embeddings is the
    weighted mean of the teachers' cosines.

    Args:
        vectors: a teacher's each, shape (texts, its dimension).
        shares: the teachers' weights, which add up to 1.

    Returns:
        shape (texts, the sum of the dimensions), in the finest of the teachers' precisions.
    """
    parts = []
    for one, share in zip(vectors, shares, strict=True):
        exact = one.astype(np.float64)
        parts.append(exact * (np.sqrt(share) / np.linalg.norm(exact, axis=1, keepdims=True)))
    joined: Vectors = np.concatenate(parts, axis=1).astype(np.result_type(*vectors))
    return joined


def joint_size(sizes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `decant.score.run.score_track` returns of several teachers.

    Returns:
        the sums of `parameters`, `bytes` and the figures of `engines`; in `cut` the counts of the teacher that cuts the
        largest share.
    """
    engines: dict[str, Any] = {}
    cut: dict[str, Any] = {}
    for size in sizes:
        for engine, figures in size["engines"].items():
            engines[engine] = added(engines.get(engine, {}), figures)
        for dataset, splits in size["cut"].items():
            for split, counts in splits.items():
                known = cut.setdefault(dataset, {}).setdefault(split, {})
                for what, count in counts.items():
                    known[what] = max(known.get(what, count), count, key=lambda one: float(one["share"]))
    totals = {name: sum(size[name] for size in sizes) for name in ("parameters", "bytes")}
    return {**totals, "engines": engines, "cut": cut}


def write_ensemble(job: Job, ensemble: Ensemble, members: Sequence[Scored], folder: Path, tell: Tell) -> None:
    """Write the scores of an ensemble, in the form of one teacher's, to the folder that has its members' own.

    Raises:
        DecantError: too many pairs lack the score of one member or another.
    """
    track, shares = job.track, ensemble.shares
    manifests = [read_json(member.folder / "manifest.json") for member in members]
    files: dict[str, Any] = {}
    lost = _quarantine([member.folder for member in members])
    for name, source in job.sources.items():
        scores = combine(_rows(source), [member.scores[name] for member in members], shares)
        _check_quarantine(job, name, scores, lost)
        of_first = manifests[0]["files"][f"{name}.parquet"]
        files[f"{name}.parquet"] = described = _write_scores(source, scores, of_first, folder / f"{name}.parquet")
        words = ", ".join(f"{key} {value}" for key, value in described["scores"].items())
        tell(f"{track} {name}: {described['pairs']} pairs of {len(members)} teachers; {words}")
    if lost:
        write_quarantine(folder / QUARANTINE, lost)
        tell(
            f"{track}: {len(lost)} pairs lack a teacher's score, and have none; {QUARANTINE} beside the scores says why"
        )
    manifest = {
        "track": track,
        "members": [
            {
                "folder": f"{MEMBERS}/{member.folder.name}",
                "weight": block.weight,
                **{name: manifest[name] for name in ("teacher", "identity", "max_length", "self_test")},
            }
            for member, block, manifest in zip(members, ensemble.ensemble, manifests, strict=True)
        ],
        "data": manifests[0]["data"],
        "files": files,
    }
    if ensemble.embeddings:
        manifest["embeddings"] = kept = _write_embeddings([member.folder for member in members], shares, folder)
        tell(f"{track}: embeddings of {kept['texts']} texts, {kept['dimension']} numbers each, {kept['precision']}")
    else:
        (folder / EMBEDDINGS).touch()  # `train` depends on the file
    write_json(folder / "manifest.json", manifest)
    (folder / "README.md").write_text(data_card(manifest), encoding="utf-8")


def _name(source: Source) -> str:
    return source.dataset if source.of_union else ""


def _rows(source: Source) -> Rows:
    parts = [batch.column("row").to_numpy() for batch in stream_pairs(source.path, _name(source))]
    return np.concatenate([np.empty(0, dtype=np.int32), *parts])


def _check_quarantine(job: Job, name: str, scores: Scores, rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse to go on where more pairs than params allow lack a teacher's score; a file in the store then has them."""
    lost, most = int(np.isnan(scores).sum()), job.store.max_quarantined
    if lost > most * len(scores):
        path = store_folder(job.store) / f"quarantine-{job.track}.jsonl"
        write_quarantine(path, rows)
        raise DecantError(
            f"{job.track} {name}: {lost} of {len(scores)} pairs lack the score of one teacher or another, and "
            f"store.max_quarantined allows {most:.2%}",
            f"look into {path}, which has them all; correct the set, or raise store.max_quarantined; then run again: "
            "what is scored is kept",
        )


def _write_scores(source: Source, scores: Scores, of_member: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Write the combined scores of a file; return what the manifest says of it."""
    there = np.flatnonzero(~np.isnan(scores))
    queries, labels, _ = write_pairs(pairs_at(source.path, _name(source), there), scores, path)
    return {
        "sha256": sha256(path),
        "queries": queries,
        "pairs": len(there),
        "unique_texts": of_member["unique_texts"],
        "quarantined": len(scores) - len(there),
        "scores": statistics(scores[there], labels),
        "histogram": histogram(scores[there], labels),
    }


def _quarantine(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The pairs that a member has set aside, each once, with the reasons of all that did."""
    pairs: dict[tuple[Any, ...], dict[str, Any]] = {}
    for folder in folders:
        path = folder / QUARANTINE
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            pair = json.loads(line)
            reason = f"teacher {folder.name}: {pair.pop('reason')}"
            known = pairs.setdefault(tuple(pair.values()), {**pair, "reason": ""})
            known["reason"] = "; ".join(filter(None, (known["reason"], reason)))
    return list(pairs.values())


def _write_embeddings(folders: Sequence[Path], shares: Sequence[float], folder: Path) -> dict[str, Any]:
    """Write the members' embeddings side by side, a row for each role and text that all of them have embedded.

    Of a text that a member has twice, behind the prompts of two sets, it is the first, as `Embeddings.find` has it.

    Returns:
        what the manifest says of the Parquet file.
    """
    members = [read_embeddings(member) for member in folders]
    described = [read_json(member / "manifest.json")["embeddings"] for member in folders]
    path, dtype = folder / EMBEDDINGS, np.result_type(*(member.vectors for member in members))
    dimension = sum(member.vectors.shape[1] for member in members)
    vector = pa.list_(pa.from_numpy_dtype(dtype), dimension)
    schema = pa.schema([("role", pa.string()), ("text", pa.string()), ("embedding", vector)])
    ends = np.cumsum(list(described[0]["splits"].values()))
    counts = np.zeros(len(ends), dtype=np.int64)
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=["role"]) as writer:
        for role in SIDES:
            for texts, places in _shared_texts(members, role):
                counts += np.bincount(np.searchsorted(ends, places[0], side="right"), minlength=len(ends))
                parts = [member.vectors[place] for member, place in zip(members, places, strict=True)]
                values = pa.array(side_by_side(parts, shares).reshape(-1))
                embeddings = pa.FixedSizeListArray.from_arrays(values, type=vector)
                roles = pa.array([role]).take(pa.array(np.zeros(len(texts), dtype=np.int64)))
                writer.write_batch(pa.record_batch([roles, texts.cast(pa.string()), embeddings], schema=schema))
    return {
        "file": path.name,
        "sha256": sha256(path),
        "texts": int(counts.sum()),
        "dimension": dimension,
        "precision": dtype.name,
        "splits": dict(zip(described[0]["splits"], counts.tolist(), strict=True)),
        "dimensions": [one["dimension"] for one in described],
    }


def _shared_texts(members: Sequence[Embeddings], role: str) -> Iterator[tuple[pa.Array, list[npt.NDArray[np.int64]]]]:
    """The texts of a role that all members have, each once, some thousand at a time: with their place in each."""
    texts = members[0].texts[role]
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        part = texts.slice(start, TEXTS_AT_ONCE)
        places = [member.find(role, part) for member in members]
        own = members[0].rows[role][start : start + TEXTS_AT_ONCE]
        kept = np.flatnonzero((places[0] == own) & np.logical_and.reduce([place >= 0 for place in places]))
        yield part.take(pa.array(kept)), [place[kept] for place in places]
