"""Evaluate one model of a track on the test splits: `python -m stages.evaluate embedding after`, or `all baseline`."""

import argparse

from decant import paths
from decant.data.sets import read_split
from decant.evaluate.bm25 import BM25Scorer
from decant.evaluate.run import DOMAINS, Run, evaluate, teacher_runs, write_results
from decant.evaluate.speed import measure_speed
from decant.files import write_json
from decant.kinds import TRACKS, kind_of
from decant.models.scorer import Scorer
from decant.params import Params
from decant.score.work import timed_teacher
from decant.sources.references import model_folder
from stages import cli


def main(track: str, model: str) -> None:
    """Write metrics/<track>/<model>.json and data/runs/<track>/<model>.parquet, or data/cost/<track>/speed.json."""
    params = cli.params()
    if model == "speed":
        block, student = params.track(track), _scorer(params, track, "before")
        teacher, test = timed_teacher(block.teacher, params.store), read_split(paths.split(block.in_domain, "test"))
        write_json(paths.COST / track / "speed.json", measure_speed(teacher, student, test))
        return
    tracks = {name: block for name, block in params.tracks.items() if track in (name, "all")}
    sets = {name: {d: dataset for d in DOMAINS if (dataset := getattr(block, d))} for name, block in tracks.items()}
    splits = {name: read_split(paths.split(name, "test")) for of_track in sets.values() for name in of_track.values()}
    runs: dict[str, Run] = {}
    if model == "teacher":
        runs = teacher_runs(paths.SCORES / track, sets[track], splits, tracks[track].teacher.kind)
    elif not params.baselines.is_off(model):
        scorer = BM25Scorer() if model == "bm25" else _scorer(params, track, model)
        dimensions = tracks[track].loss.dimensions if model in ("before", "after", "labels_only") else None
        runs = {name: evaluate(scorer, split, dimensions or ()) for name, split in splits.items()}
    for name, of_track in sets.items():
        print(f"{name} {model}: {write_results(name, model, of_track, runs)}")


def _scorer(params: Params, track: str, model: str) -> Scorer:
    tokens = params.evaluate.batch_tokens
    if model == "baseline":
        folder = model_folder(str(params.baselines.model), params.baselines.revision, None)
        return kind_of(folder).scorer(folder, tokens)
    block, kind = params.track(track).student, TRACKS[track]
    if model == "before":
        return kind.models.make_scorer(kind.models.make_student(block, cli.student_folder(block), params.seed), tokens)
    folder = paths.MODELS / (track if model == "after" else f"{track}-labels-only")
    return kind.scorer(folder, tokens, trust_remote_code=block.trust_remote_code)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=(*TRACKS, "all"))
    parser.add_argument("model", choices=("before", "after", "labels_only", "bm25", "teacher", "baseline", "speed"))
    chosen = parser.parse_args()
    if (chosen.track in TRACKS) == (chosen.model == "baseline"):
        parser.error("`all` and `baseline` go together")
    cli.run(f"evaluate_{chosen.model}@{chosen.track}".removesuffix("@all"), lambda: main(chosen.track, chosen.model))
