"""Score a track's pairs with its teacher: the in-domain train split, and the test splits for the teacher's own row.

`python -m stages.score embedding --plan` says what that takes, and scores nothing.
"""

import argparse
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from decant.cost import model_size, pairs_per_second
from decant.dataset import Split, read_split
from decant.engines import ServerSpec, TeacherSpec, load_forward
from decant.engines.pool import count_engines
from decant.errors import DecantError
from decant.files import atomic_folder, read_json, write_json
from decant.params import Params
from decant.plan import plan_splits, tokens_per_second
from decant.scoring import engine_version, score_splits, scored_pairs
from decant.selftest import draw_sample, judge, reference_scores
from decant.sources import model_folder, tokenizer_folder
from decant.teachers import SHARD, Teacher, make_prompts
from stages import cli


def main(track: str) -> None:
    """Write data/scores/<track>/ and metrics/cost/<track>/teacher.json."""
    if _never():
        raise DecantError(
            "a teacher would have to run, and DECANT_TEACHER=never forbids it",
            f"`dvc pull score@{track}` brings its scores, if the remote is right; or unset DECANT_TEACHER",
        )
    params = cli.params()
    block = params.track(track).teacher
    version = engine_version(block.engine, block.server.url)  # a missing engine is told before a model is downloaded
    spec = teacher_spec(params, track)
    splits, data = _splits(params, track)
    sample = draw_sample(splits["train"], params.seed)
    with Teacher(spec) as teacher:
        prompts = teacher.prompts
        for split in splits.values():  # a query that is too long is told before anything is paid for
            queries = list(dict.fromkeys(row.query for row in split.rows))
            prompts.distinct(queries, [""] * len(queries), split.task)
        reference, compared_with = reference_scores(spec, sample)  # before the engines start, which may take all memory
        tested = judge(spec, sample, teacher.score(sample.queries, sample.candidates, sample.task), reference)
        print(f"{track} self-test: {', '.join(f'{key} {value}' for key, value in tested.items())}; {compared_with}")
        identity = {
            "track": track,
            "teacher": block.model_dump(),
            "engine_version": version,
            "max_length": prompts.max_length,
            "rendered": prompts.rendered(sample.queries[0], sample.candidates[0], sample.task),
            "self_test": {**tested, "compared_with": compared_with},
            "data": data,
        }
        speed = pairs_per_second(teacher, splits["test_in_domain"])  # first, while no engine has these in its cache
        with atomic_folder(cli.SCORES / track) as partial:
            manifest = score_splits(teacher, splits, partial, identity)
    for name, file in manifest["files"].items():
        found = ", ".join(f"{key} {value}" for key, value in file["scores"].items())
        print(f"{track} {name}: {file['pairs']} pairs of {file['unique_texts']} texts; {found}")
    write_json(cli.COST / track / "teacher.json", {**model_size(spec.folder), **speed})


def plan(track: str) -> None:
    """Print what scoring would take: nothing is scored and nothing written."""
    params = cli.params()
    spec = teacher_spec(params, track)
    splits, _ = _splits(params, track)
    tasks = {name: split.task for name, split in splits.items()}
    known = scored_pairs(cli.SCORES / track, params.track(track).teacher.model_dump(), tasks)
    prompts = make_prompts(spec)
    plans = plan_splits(prompts, splits, known)
    row = "{:<20} {:>10} {:>12} {:>10} {:>12} {:>8}".format
    print(row(track, "pairs", "unique texts", "to read", "tokens", "scored"))
    for name, split in plans.items():
        print(row(name, split.pairs, split.unique_texts, len(split.items), split.tokens, f"{split.scored:.0%}"))
    tokens = sum(split.tokens for split in plans.values())
    if all(split.scored == 1 for split in plans.values()):
        print("every pair is scored already")
    elif _never():
        print(f"{tokens} tokens to read; no estimate of the time, since DECANT_TEACHER=never forbids the sample")
    else:
        speed = tokens_per_second(load_forward(spec), prompts, plans.values(), params.seed)
        engines = count_engines(spec)
        busy = {name: min(engines, -(-len(split.items) // SHARD)) for name, split in plans.items()}
        seconds = sum(split.tokens / speed["tokens_per_second"] / busy[name] for name, split in plans.items())
        print(
            f"{tokens} tokens at {speed['tokens_per_second']:.0f} a second (measured on {speed['prompts']} of the "
            f"prompts) on {engines} engine{'s' * (engines > 1)}: about {timedelta(seconds=round(seconds))}"
        )


def teacher_spec(params: Params, track: str) -> TeacherSpec:
    """What the track's block of params says of its teacher, its files resolved."""
    block = params.track(track).teacher
    fields: dict[str, Any] = block.model_dump(exclude={"model", "revision", "sha256", "server"})
    folder: Path
    if block.engine == "server":
        folder = tokenizer_folder(block.model, block.revision, code=block.trust_remote_code)
    else:
        folder = model_folder(block.model, block.revision, block.sha256, code=block.trust_remote_code)
    return TeacherSpec(folder=folder, server=ServerSpec(**block.server.model_dump()), **fields)


def _splits(params: Params, track: str) -> tuple[dict[str, Split], dict[str, Any]]:
    """The splits to score, and what the manifest says of them."""
    block = params.track(track)
    sources = {"train": (block.in_domain, "train"), "test_in_domain": (block.in_domain, "test")}
    if block.out_of_domain is not None:
        sources["test_out_of_domain"] = (block.out_of_domain, "test")
    splits = {name: read_split(cli.SETS / dataset / f"{split}.parquet") for name, (dataset, split) in sources.items()}
    data = {
        name: {
            "dataset": dataset,
            "split": split,
            "task": splits[name].task,
            "sha256": read_json(cli.SETS / dataset / "card.json")["splits"][split]["sha256"],
        }
        for name, (dataset, split) in sources.items()
    }
    return splits, data


def _never() -> bool:
    return os.environ.get("DECANT_TEACHER") == "never"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("track", choices=cli.TRACKS)
    parser.add_argument("--plan", action="store_true", help="say what it takes: texts, pairs, tokens, time")
    arguments = parser.parse_args()
    if arguments.plan:
        cli.run("score --plan", lambda: plan(arguments.track))
    cli.run(f"score@{arguments.track}", lambda: main(arguments.track))
