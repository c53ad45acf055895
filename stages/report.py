"""Compare before, after, teacher and baselines: metrics/comparison.json, metrics/cost.json and report/."""

from decant import paths
from decant.evaluate.run import read_metrics
from decant.evaluate.told import read_told
from decant.files import atomic_folder, read_json, write_json
from decant.params import Params
from decant.report.build import TrackResults, build, read_plots
from decant.report.cards import read_cards
from decant.report.comparison import NAMES
from decant.report.corpora import NOT_SEARCHED, read_searched
from decant.report.exported import read_exported
from decant.report.provenance import provenance
from decant.report.ranked import read_ranked_sets
from stages import cli


def main() -> None:
    """Write the four files."""
    params = cli.params()
    changed = params.model_dump(mode="json", exclude_defaults=True, exclude={"evaluate", "store"})
    origin = provenance(params.model_dump(mode="json"), changed)
    report = build({track: read(params, track) for track in params.tracks}, params.report, params.seed, origin)
    with atomic_folder(paths.REPORT) as partial:
        (partial / "table.md").write_text(report.table, encoding="utf-8")
        (partial / "index.html").write_text(report.page, encoding="utf-8")
    write_json(paths.METRICS / "comparison.json", report.comparison)
    write_json(paths.METRICS / "cost.json", report.cost)


def read(params: Params, track: str) -> TrackResults:
    """What the other stages have written of a track."""
    block, untouched = params.track(track), params.baselines.model
    teachers = [teacher.model for teacher in block.teacher.members]
    adapted = {f"path:{paths.TEACHERS / track}": f"{block.adapt.student.model}, adapted" if block.adapt else ""}
    layers, model = block.student.layers, adapted.get(block.student.model, block.student.model)
    student = (f"{len(layers)} layers of " if layers else "") + model
    splits = {domain: (name, paths.split(name, "test")) for domain, name in block.test_sets.items()}
    roles = {"is_teacher": params.teaches_untouched(track), "is_student": untouched == block.student.model}
    return TrackResults(
        runs={model: read_metrics(paths.RUNS / track / f"{model}.parquet") for model in NAMES},
        searched=read_searched(paths.RETRIEVED / track) if track in params.retrieve else NOT_SEARCHED,
        sets=read_cards(paths.SETS, {**block.test_sets, "guard": block.guard}),
        exported=read_exported(paths.EXPORTED / track) if track in params.export else {},
        **read_plots(paths.PLOTS / track),
        cost={name: read_json(paths.COST / track / f"{name}.json") for name in ("teacher", "train", "speed")},
        overlap=read_json(paths.METRICS / track / "overlap.json"),
        **read_told(paths.RUNS / track / "after.parquet"),
        left_out=read_json(paths.METRICS / track / "left_out.json"),
        guard={"dataset": block.guard, "max_loss": block.train.max_loss, "max_below_best": block.train.max_below_best},
        fresh_head=getattr(block.student, "head", None) == "fresh",
        baseline=None if untouched is None else {"model": untouched, **roles},
        ranked=read_ranked_sets(track, paths.RUNS / track, splits),
        models={"teacher": " and ".join(adapted.get(name, name) for name in teachers), "student": student},
    )


if __name__ == "__main__":
    cli.run("report", main)
