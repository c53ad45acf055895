"""Choose a student between before and after training, where params have a guard set."""

from pathlib import Path

from decant import paths
from decant.data.sets import read_split
from decant.evaluate.run import evaluate
from decant.models.scorer import scorer_of
from decant.params import Params
from decant.student_old import load_student, make_student
from decant.train.guard import Point, choose, set_between, sweep, weights


def keep_between(params: Params, track: str, in_domain: float, folder: Path) -> tuple[list[Point], Point]:
    """Put the chosen point between before and after training into `folder`; return all points, or after alone, and it.

    Args:
        params: all of them.
        track: whose student.
        in_domain: the dev MAP of the checkpoint.
        folder: of the checkpoint, which is replaced.
    """
    block = params.track(track)
    guard = block.guard
    if guard.dataset is None or not guard.interpolate:
        after_alone = Point(1.0, in_domain, None)
        return [after_alone], after_alone
    splits = [read_split(paths.SETS / name / "dev.parquet") for name in (block.in_domain, guard.dataset)]
    model = make_student(params, track)
    scorer = scorer_of(model, params.evaluate.batch_size)
    before, after = weights(model), weights(load_student(folder, block.student.trust_remote_code))

    def measure() -> tuple[float, float]:
        one, other = (evaluate(scorer, split).means()["map"] for split in splits)
        return one, other

    points = sweep(model, before, after, measure)
    chosen = choose(points, guard.max_loss)
    if chosen.alpha < 1:
        set_between(model, before, after, chosen.alpha)
        model.save_pretrained(str(folder), create_model_card=False, safe_serialization=True)
    print(
        f"{track}: {chosen.alpha:g} of the way from before to after: dev MAP {chosen.in_domain:.4f}, "
        f"{guard.dataset} {points[0].guard:.4f} → {chosen.guard:.4f}"
    )
    return points, chosen
