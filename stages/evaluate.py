"""Evaluate one model of a track on the test splits: `python -m stages.evaluate embedding after`, or `all baseline`."""

import argparse

from decant import paths
from decant.data.sets import read_split
from decant.evaluate.bm25 import BM25Scorer
from decant.evaluate.cuts import Cuts, count_cuts
from decant.evaluate.run import Run, evaluate, evaluated_as_teacher, teacher_runs, write_results
from decant.evaluate.speed import measure_speed
from decant.files import write_json
from decant.kinds import TRACKS
from decant.models.scorer import CountingScorer
from decant.models.threshold import read_threshold
from decant.params import Params
from decant.score.work import timed_teacher
from stages import cli


def main(track: str, model: str) -> None:
    """Write metrics/<track>/<model>.json and data/runs/<track>/<model>.parquet, or data/cost/<track>/speed.json."""
    params = cli.params()
    if model == "speed":
        block, student = params.track(track), _scorer(params, track, "before")
        teacher, test = timed_teacher(block.teacher, params.store), read_split(paths.split(block.in_domain, "test"))
        write_json(paths.COST / track / "speed.json", measure_speed(teacher, student, test))
        return
    sets = {name: block.test_sets for name, block in params.tracks.items() if track in (name, "all")}
    if model == "baseline":
        for taught in [name for name in sets if params.teaches_untouched(name)]:
            evaluated_as_teacher(taught)
            del sets[taught]
    splits = {name: read_split(paths.split(name, "test")) for of_track in sets.values() for name in of_track.values()}
    runs, cut, threshold = dict[str, Run](), Cuts(), None
    if model == "teacher":
        runs = teacher_runs(paths.SCORES / track, sets[track], splits, params.track(track).teacher.kind)
    elif sets and not params.baselines.is_off(model):
        scorer = BM25Scorer() if model == "bm25" else _scorer(params, track, model)
        runs = {name: evaluate(scorer, split, params.dimensions(track, model)) for name, split in splits.items()}
        if model == "after":
            cut, threshold = count_cuts(scorer, splits, print), read_threshold(paths.MODELS / track)
    for name, of_track in sets.items():
        print(f"{name} {model}: {write_results(name, model, of_track, runs, cut, threshold and threshold.score)}")


def _scorer(params: Params, track: str, model: str) -> CountingScorer:
    kind, loaded = cli.model_of(params, track, model)
    return kind.models.make_scorer(loaded, params.evaluate.batch_tokens)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=(*TRACKS, "all"))
    parser.add_argument("model", choices=("before", "after", "labels_only", "bm25", "teacher", "baseline", "speed"))
    chosen = parser.parse_args()
    if (chosen.track in TRACKS) == (chosen.model == "baseline"):
        parser.error("`all` and `baseline` go together")
    cli.run(f"evaluate_{chosen.model}@{chosen.track}".removesuffix("@all"), lambda: main(chosen.track, chosen.model))
