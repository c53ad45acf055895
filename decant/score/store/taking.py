"""Take in scores that exist already: those that lie where the stage `score` writes, and those of other origin."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from decant.data.digests import Keys, as_binary, digests, in_context
from decant.data.pairs import stream_pairs
from decant.data.scores import open_embeddings, open_scores
from decant.data.tasks import Task
from decant.errors import DecantError
from decant.files import read_json, sha256
from decant.models.matryoshka import shorten
from decant.score.prompts import Prompts
from decant.score.store import StoredTeacher, Tell
from decant.score.store.complete import NO_PAIRS, SplitScores, keys_of_pairs
from decant.score.store.identity import differences
from decant.score.store.shards import joint

MEMBERS = "members"  # of an ensemble's folder of scores: the folder that has a folder for each teacher's own
IMPORTED = "imported"  # the key in an origin that names a file of other origin
NO_CONTEXTS = ("", "")
AT_ONCE = 65536  # pairs
TEXTS_AT_ONCE = 4096  # with their embeddings
SHOWN = 60  # characters of a text in messages


def outputs_of(folder: Path, identity: Mapping[str, Any]) -> list[Path]:
    """Where a folder of scores has those of a teacher: the folder itself, or that of a member of its ensemble."""
    described = [path for pattern in ("", f"{MEMBERS}/*/") for path in sorted(folder.glob(f"{pattern}manifest.json"))]
    return [path.parent for path in described if _identity(path) == dict(identity)]


def _identity(path: Path) -> Any:
    try:
        return read_json(path).get("identity")
    except ValueError:  # a damaged file
        return None


def take_output(folder: Path, identity: Mapping[str, Any], prompts: Prompts, stored: StoredTeacher, tell: Tell) -> None:
    """Take in the scores of an output of the stage `score`, and its embeddings, where they are of the same teacher.

    A file that is missing or damaged is told and left out, as is an output of another teacher.
    """
    try:
        manifest = read_json(folder / "manifest.json")
    except FileNotFoundError:
        return
    except ValueError:
        tell(f"{folder / 'manifest.json'}: the file is damaged; the scores beside it are not taken in")
        return
    if "members" in manifest:
        tell(f"{folder} holds scores of {len(manifest['members'])} teachers, and none of this one's")
        return
    if changed := differences(manifest.get("identity") or {}, identity):
        tell(f"{folder} holds scores of another teacher (of another {', '.join(changed)}), which are not taken in")
        return
    for name, described in manifest["files"].items():
        stem = Path(name).stem
        origins = [{key: value for key, value in origin.items() if key != "pairs"} for origin in described["origins"]]
        try:
            with open_scores(folder, stem) as file:
                table = file.read(["query", "candidate", "score"])
        except DecantError as error:
            tell(f"{error.problem}; its scores are not taken in")
        else:
            _add(stored, prompts, _task(manifest["data"][stem]), table, joint(origins))
    if described := manifest.get("embeddings"):
        tasks = {name: _task(manifest["data"][name]) for name in described["splits"]}
        try:
            _take_embeddings(folder, described, tasks, prompts, stored)
        except DecantError as error:
            tell(f"{error.problem}; its embeddings are not taken in")
    tested = manifest["self_test"]
    if len(tested) > 1:
        stored.note("self_test", tested.pop("sample"), tested)


def take_shortened(full: StoredTeacher, keys: Keys, stored: StoredTeacher, dimensions: int, dtype: str) -> int:
    """Take in the embeddings that the store has of the same teacher uncut, cut; return how many.

    Args:
        full: the teacher without `dimensions`.
        keys: of the texts that are wanted, each once.
        stored: the teacher with them.
        dimensions, dtype: of its embeddings.
    """
    keys = keys[(stored.texts.find(keys) < 0) & (full.texts.find(keys) >= 0)]
    for start in range(0, len(keys), AT_ONCE):
        part = keys[start : start + AT_ONCE]
        positions = full.texts.find(part)
        origin = joint([json.loads(each) for each in full.texts.origins(positions)])
        with full.texts.gathered(positions) as vectors:
            stored.texts.add(part, shorten(vectors, dimensions).astype(dtype), origin)
    return len(keys)


def _task(described: Mapping[str, Any]) -> Task:
    return Task(described["task"], described.get("prompt", ""))


def _take_embeddings(
    folder: Path, described: Mapping[str, Any], tasks: Mapping[str, str], prompts: Prompts, stored: StoredTeacher
) -> None:
    """Take in the embeddings beside an output's scores, as the manifest describes them: those that the store lacks."""
    ends = np.cumsum(list(described["splits"].values()))
    origin = joint([{key: value for key, value in each.items() if key != "texts"} for each in described["origins"]])
    start = 0
    with open_embeddings(folder) as file:
        for batch in file.iter_batches(TEXTS_AT_ONCE):
            keys = digests(batch.column("text"))
            of_split = np.searchsorted(ends, start + np.arange(len(batch)), side="right")
            asked = pc.equal(batch.column("role"), "query").to_numpy(zero_copy_only=False)
            for number, name in enumerate(described["splits"]):
                for context, role in zip(prompts.contexts(tasks[name]), (asked, ~asked), strict=True):
                    behind = role & (of_split == number)
                    keys[behind] = in_context(keys[behind], context)
            values = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
            stored.texts.add_missing(keys, values.reshape(len(batch), -1), origin)
            start += len(batch)


@dataclass(frozen=True)
class Taken:
    """What came of taking scores in.

    Attributes:
        pairs: with a score, each counted once.
        new: of these, new to the store.
        covered: split → how many of its pairs are among them.
        unmatched: the places of the pairs that no split has, with their texts.
    """

    pairs: int
    new: int
    covered: dict[str, int]
    unmatched: list[str]


def take_scores(
    pairs: Iterable[tuple[str, Any, Any, Any]],
    path: Path,
    splits: Mapping[str, SplitScores],
    prompts: Prompts,
    stored: StoredTeacher,
) -> Taken:
    """Take scores in that came with data. They are taken to be this teacher's, raw, and are marked as imported.

    Args:
        pairs: (place, query, passage, score) each; the place is for messages.
        path: of the file, or the folder, that they stand in.
        splits: by name; a query that is in none of them is taken to have the first's task.
        prompts, stored: the teacher's.

    Raises:
        DecantError: a text or a score is none, or a pair comes twice with different scores; nothing is taken in.
    """
    table, places = _table(pairs, path)
    queries = table.column("query").combine_chunks()
    wanted = as_binary(_keys(table, NO_CONTEXTS))
    covered: dict[str, int] = {}
    tasks: dict[str, npt.NDArray[np.bool_]] = {}
    matched = np.zeros(len(table), dtype=bool)
    for name, split in splits.items():
        covered[name] = 0
        asked = tasks.setdefault(split.task, np.zeros(len(table), dtype=bool))
        for batch in stream_pairs(split.path, split.name):
            found = pc.index_in(as_binary(keys_of_pairs(batch, NO_CONTEXTS)), value_set=wanted).drop_null()
            covered[name] += len(found)
            matched[found.to_numpy()] = True
            asked |= pc.is_in(queries, value_set=batch.column("query")).to_numpy(zero_copy_only=False)
    tasks[next(iter(splits.values())).task] |= ~np.logical_or.reduce(list(tasks.values()))
    origin = {IMPORTED: path.name, "sha256": _sha256(path), "rows": len(table)}
    parts = ((task, table.filter(pa.array(asked))) for task, asked in tasks.items())
    new = sum(_add(stored, prompts, task, part, origin) for task, part in parts)
    return Taken(len(table), new, covered, [places[number] for number in np.flatnonzero(~matched)])


def _table(pairs: Iterable[tuple[str, Any, Any, Any]], path: Path) -> tuple[pa.Table, list[str]]:
    """The distinct pairs with their scores, and the place of each with its texts."""
    scored: dict[tuple[str, str], tuple[str, float]] = {}
    for place, query, passage, score in pairs:
        pair = _text(place, "query", query), _text(place, "passage", passage)
        value = _number(place, score)
        earlier_place, earlier = scored.setdefault(pair, (place, value))
        if earlier != value:
            raise DecantError(
                f"{place}: the pair {pair!r} has the score {value:g} here, and {earlier:g} in {earlier_place}",
                "keep the right one of the two rows",
            )
    if not scored:
        raise DecantError(f"{path}: there is no scored pair in it", "each pair needs a query, a passage and a score")
    queries, candidates = zip(*scored, strict=True)
    scores = pa.array([score for _, score in scored.values()], pa.float32())
    places = [f"{place}: {query[:SHOWN]!r}, {text[:SHOWN]!r}" for (query, text), (place, _) in scored.items()]
    return pa.table({"query": queries, "candidate": candidates, "score": scores}), places


def _sha256(path: Path) -> str:
    """Of a file, or of the names and checksums of a folder's files."""
    if path.is_file():
        return sha256(path)
    files = sorted(file for file in path.iterdir() if file.is_file())
    return hashlib.sha256("\n".join(f"{file.name} {sha256(file)}" for file in files).encode()).hexdigest()


def _text(place: str, name: str, text: object) -> str:
    if not isinstance(text, str) or not text:
        raise DecantError(f"{place}: the {name} is {text!r:.60}", "write it as a text that is not empty")
    return text


def _number(place: str, score: object) -> float:
    try:
        with np.errstate(over="ignore"):
            value = math.nan if isinstance(score, bool) else float(np.float32(score))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DecantError(f"{place}: the score is {score!r:.60}", "write the raw score as a finite number")
    return value


def _add(stored: StoredTeacher, prompts: Prompts, task: str, table: pa.Table, origin: Mapping[str, Any]) -> int:
    keys = _keys(table, prompts.contexts(task))
    return stored.pairs.add_missing(keys, table.column("score").to_numpy(), origin)


def _keys(table: pa.Table, contexts: tuple[str, str]) -> Keys:
    return np.concatenate([NO_PAIRS, *(keys_of_pairs(batch, contexts) for batch in table.to_batches(AT_ONCE))])
