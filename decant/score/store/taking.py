"""Take in scores that exist already: those that lie where the stage `score` writes, and files of other origin."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from decant.data.digests import Keys, as_binary, digests, in_context
from decant.data.files import checked, read_file
from decant.data.scores import open_embeddings, open_scores
from decant.data.sets import stream_pairs
from decant.errors import DecantError
from decant.files import read_json, sha256
from decant.score.prompts import Prompts
from decant.score.store import StoredTeacher, Tell
from decant.score.store.complete import NO_PAIRS, keys_of_pairs
from decant.score.store.identity import differences
from decant.score.store.shards import joint

IMPORTED = "imported"  # the key in an origin that names a file of other origin
COLUMNS = ("query", "passage", "score")
NO_CONTEXTS = ("", "")
AT_ONCE = 65536  # pairs
TEXTS_AT_ONCE = 4096  # with their embeddings


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
            _add(stored, prompts, manifest["data"][stem]["task"], table, joint(origins))
    if described := manifest.get("embeddings"):
        tasks = {name: manifest["data"][name]["task"] for name in described["splits"]}
        try:
            _take_embeddings(folder, described, tasks, prompts, stored)
        except DecantError as error:
            tell(f"{error.problem}; its embeddings are not taken in")
    tested = manifest["self_test"]
    if len(tested) > 1:
        stored.note("self_test", tested.pop("sample"), tested)


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


def take_file(
    path: Path, splits: Mapping[str, tuple[Path, str]], prompts: Prompts, stored: StoredTeacher
) -> dict[str, int]:
    """Take scores in from a file with the columns query, passage and score, of any kind that `read_file` reads.

    The scores are taken to be this teacher's, raw, and are marked as imported.

    Args:
        path: of the file.
        splits: name → the split's file and its task; a query that is in none of them is taken to have the first's task.
        prompts, stored: the teacher's.

    Returns:
        pairs in the file, of these new to the store, and by split how many of its pairs are in the file.

    Raises:
        DecantError: a row is broken, or a pair comes twice with different scores; nothing is taken in.
    """
    table = _read(path)
    queries = table.column("query").combine_chunks()
    wanted = as_binary(_keys(table, NO_CONTEXTS))
    counts = {"pairs": len(table)}
    first_task = next(iter(splits.values()))[1]
    tasks: dict[str, npt.NDArray[np.bool_]] = {}
    for name, (split, task) in splits.items():
        counts[name] = 0
        asked = tasks.setdefault(task, np.zeros(len(table), dtype=bool))
        for batch in stream_pairs(split):
            keys = as_binary(keys_of_pairs(batch, NO_CONTEXTS))
            counts[name] += pc.sum(pc.is_in(keys, value_set=wanted)).as_py()
            asked |= pc.is_in(queries, value_set=batch.column("query")).to_numpy(zero_copy_only=False)
    tasks[first_task] |= ~np.logical_or.reduce(list(tasks.values()))
    origin = {IMPORTED: path.name, "sha256": sha256(path), "rows": len(table)}
    parts = ((task, table.filter(pa.array(asked))) for task, asked in tasks.items())
    return {**counts, "new": sum(_add(stored, prompts, task, part, origin) for task, part in parts)}


def _read(path: Path) -> pa.Table:
    places: dict[tuple[str, str], tuple[str, float]] = {}
    for place, record in checked(read_file(path)):
        query, passage = (_text(place, record, name) for name in ("query", "passage"))
        value = _number(place, record.get("score"))
        earlier_place, earlier = places.setdefault((query, passage), (place, value))
        if earlier != value:
            raise DecantError(
                f"{place}: the pair {(query, passage)!r} has the score {value:g} here, "
                f"and {earlier:g} in {earlier_place}",
                "keep the right one of the two rows",
            )
    if not places:
        raise DecantError(f"{path}: there is no row in it", f"each row needs {', '.join(COLUMNS)}")
    queries, candidates = zip(*places, strict=True)
    scores = pa.array([score for _, score in places.values()], pa.float32())
    return pa.table({"query": queries, "candidate": candidates, "score": scores})


def _text(place: str, record: Mapping[str, Any], name: str) -> str:
    text = record.get(name)
    if not isinstance(text, str) or not text:
        raise DecantError(f"{place}: `{name}` is {json.dumps(text)[:60]}", f"each row needs {', '.join(COLUMNS)}")
    return text


def _number(place: str, score: object) -> float:
    try:
        with np.errstate(over="ignore"):
            value = math.nan if isinstance(score, bool) else float(np.float32(score))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DecantError(f"{place}: `score` is {json.dumps(score)[:60]}", "write the raw score as a finite number")
    return value


def _add(stored: StoredTeacher, prompts: Prompts, task: str, table: pa.Table, origin: Mapping[str, Any]) -> int:
    keys = _keys(table, prompts.contexts(task))
    return stored.pairs.add_missing(keys, table.column("score").to_numpy(), origin)


def _keys(table: pa.Table, contexts: tuple[str, str]) -> Keys:
    return np.concatenate([NO_PAIRS, *(keys_of_pairs(batch, contexts) for batch in table.to_batches(AT_ONCE))])
