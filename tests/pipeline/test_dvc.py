"""What DVC users expect of the pipeline, seen through the real `dvc`."""

import json
from pathlib import Path

import pytest

from decant.params import load_params
from tests.support.project import Project, ran, recorded

TRACKS = ("embedding", "reranker")


@pytest.fixture
def project(pipeline: Project, tmp_path: Path) -> Project:
    return pipeline.copy(tmp_path / "a project")


def metric_files(project: Project) -> dict[str, bytes]:
    """Every metric that must be the same from run to run: all but what is timed."""
    metrics = project.folder / "metrics"
    return {
        str(path.relative_to(metrics)): path.read_bytes()
        for path in sorted(metrics.rglob("*.json"))
        if "cost" not in path.relative_to(metrics).parts[0]
    }


def outputs(project: Project) -> dict[str, str]:
    """What dvc.lock records of all outputs but what is timed, and the report that shows it."""
    timed = ("data/cost/", "metrics/cost.json", "report")
    return {path: md5 for path, md5 in recorded(project).items() if not path.startswith(timed)}


def test_a_second_repro_runs_nothing(project: Project) -> None:
    output = project.dvc("repro")
    assert ran(output) == set()
    assert "up to date" in output


def test_two_forced_runs_give_the_same_metrics_and_models_to_the_byte(project: Project) -> None:
    before = metric_files(project)
    assert len(before) == 2 * (6 + 2) + 1  # six models, what splits share and what is left out; and the comparison
    earlier = outputs(project)
    assert {"data/scores/embedding", "models/embedding", "models/reranker"} < set(earlier)
    forced = ran(project.dvc("repro", "--force", "--no-run-cache"))
    assert {"score@embedding", "train@embedding", "train@reranker", "report"} <= forced
    assert metric_files(project) == before
    assert outputs(project) == earlier
    assert set(project.git("diff", "--name-only").split()) <= {"dvc.lock", "metrics/cost.json"}


@pytest.mark.slow
def test_earlier_params_bring_their_models_back_without_training(project: Project) -> None:
    """DVC's run cache holds every stage but the report, which is of all of them."""
    before = outputs(project)
    weight = load_params(project.folder / "params.yaml").track("embedding").loss.label_weight
    project.edit_params(lambda params: params["embedding"]["loss"].update(label_weight=weight / 2))
    assert "train@embedding" in ran(project.dvc("repro"))
    assert outputs(project)["models/embedding"] != before["models/embedding"]
    project.edit_params(lambda params: params["embedding"]["loss"].update(label_weight=weight))
    assert ran(project.dvc("repro")) <= {"check", "report"}
    assert outputs(project) == before


def test_a_lower_rate_retrains_evaluates_and_reports_and_nothing_else(project: Project) -> None:
    lr = load_params(project.folder / "params.yaml").train.lr
    output = project.dvc("exp", "run", "--name", "slow", "-S", "train.lr=2e-5")
    assert ran(output) == {
        "check",
        *(f"train@{track}" for track in TRACKS),
        *(f"evaluate_after@{track}" for track in TRACKS),
        "report",
    }
    assert "lr: 2e-05" in (project.folder / "params.yaml").read_text()
    for track in TRACKS:  # it arrives as a float, on every track: a string would have been refused
        assert "- train.lr: 2e-05" in (project.folder / f"models/{track}/README.md").read_text()

    shown = json.loads(project.dvc("metrics", "diff", "--json"))
    assert set(shown) <= {f"metrics/{track}/after.json" for track in TRACKS}
    assert shown["metrics/reranker/after.json"]["in_domain.pydocs.map"].keys() == {"old", "new", "diff"}
    shown = json.loads(project.dvc("params", "diff", "--json"))
    assert sorted(shown["params.yaml"]) == ["train.lr"]
    assert (shown["params.yaml"]["train.lr"]["old"], shown["params.yaml"]["train.lr"]["new"]) == (lr, 2e-05)
    assert "slow" in project.dvc("exp", "show", "--csv")


@pytest.mark.slow
def test_before_is_the_experiment_without_epochs(project: Project) -> None:
    output = project.dvc("exp", "run", "--name", "before", "-S", "train.epochs=0")
    assert "train@embedding" in ran(output)
    for track in TRACKS:
        trained, untrained = (project.folder / f"metrics/{track}/{name}.json" for name in ("after", "before"))
        assert trained.read_bytes() == untrained.read_bytes()
    # The experiment's results stay in the workspace; with the committed ones back, the diff is the before/after table.
    project.git("checkout", "--quiet", "--", ".")
    project.dvc("checkout")
    shown = json.loads(project.dvc("metrics", "diff", "before", "--json"))
    assert "metrics/reranker/after.json" in shown  # two steps may leave the embedding student's MAP as it was
    assert set(shown) <= {f"metrics/{track}/after.json" for track in TRACKS}
    before = json.loads((project.folder / "metrics/reranker/before.json").read_text())
    after = json.loads((project.folder / "metrics/reranker/after.json").read_text())
    change = shown["metrics/reranker/after.json"]["in_domain.pydocs.map"]
    assert (change["old"], change["new"]) == (before["in_domain"]["pydocs"]["map"], after["in_domain"]["pydocs"]["map"])


def test_an_empty_store_is_filled_with_the_scores_that_the_last_run_left(project: Project) -> None:
    assert not (project.folder.parent / "cache").exists()
    earlier = outputs(project)
    for told in ("scores come from data/scores/embedding", "the store holds the scores of all pairs"):
        path = project.folder / "decant/score/card.py"
        path.write_text(path.read_text() + "\n# a comment\n")
        output = project.dvc("repro", "--single-item", "score@embedding", DECANT_TEACHER="never")
        assert told in output
        assert "self-test" not in output
        assert outputs(project) == earlier  # the same bytes, the manifest included


def test_one_track_runs_alone(checkout: Project, tmp_path: Path) -> None:
    project = checkout.copy(tmp_path / "a project")
    listed = project.dvc("repro", "--dry", "train@embedding", code=None)
    assert "check" not in ran(listed)
    assert not any("reranker" in stage for stage in ran(listed))
    dag = project.dvc("dag", "--mermaid", "train@embedding")
    assert "score@embedding" in dag
    assert "reranker" not in dag


@pytest.mark.slow
def test_a_track_without_an_out_of_domain_set_runs(project: Project) -> None:
    def edit(params: dict[str, dict[str, None]]) -> None:
        params["embedding"]["out_of_domain"] = None

    project.edit_params(edit)
    project.dvc("repro", "report")
    assert set(json.loads((project.folder / "metrics/embedding/after.json").read_text())) == {"in_domain"}
    comparison = json.loads((project.folder / "metrics/comparison.json").read_text())
    assert set(comparison["embedding"]["domains"]) == {"in_domain"}
    assert set(comparison["reranker"]["domains"]) == {"in_domain", "out_of_domain"}


def test_an_edit_of_ones_own_file_reruns_what_depends_on_it(project: Project) -> None:
    def edit(params: dict[str, dict[str, object]]) -> None:
        mine = {"source": "path:data/own", "train": "mine.jsonl", "test": 4, "task": "find the answer"}
        params["datasets"]["mine"] = mine
        params["embedding"].update(in_domain="mine", out_of_domain=None, guard=None, replay=0.0)
        params["embedding"]["train"]["interpolate"] = False

    project.edit_params(edit)
    own = project.folder / "data/own/mine.jsonl"
    rows = [
        {"query": f"question {n}", "positive": [f"answer {n}"], "negative": [f"other {n}-{m}" for m in range(4)]}
        for n in range(20)
    ]
    own.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert {"fetch@mine", "score@embedding"} <= ran(project.dvc("repro", "triplets@embedding"))
    assert ran(project.dvc("repro", "triplets@embedding")) == set()
    own.write_text(own.read_text().replace("answer", "reply"))
    again = ran(project.dvc("repro", "triplets@embedding"))
    assert {"fetch@mine", "score@embedding", "triplets@embedding"} <= again
    # The other sets read nothing of it: they are built anew, and what depends on them stays.
    again = ran(project.dvc("repro", "train@reranker"))
    assert again <= {"fetch@pydocs", "fetch@icd10", "fetch@cwe", "mine@reranker"}


def test_a_comment_in_the_reports_code_reruns_the_report_alone(project: Project) -> None:
    for name in ("stages/report.py", "decant/report/comparison.py", "decant/report/charts.py"):
        path = project.folder / name
        path.write_text(path.read_text() + "\n# a comment\n")
    assert ran(project.dvc("repro")) == {"report"}


def test_a_misspelt_key_never_passes_as_up_to_date(project: Project) -> None:
    path = project.folder / "params.yaml"
    path.write_text(path.read_text().replace("\nreport:\n", "\nreport:\n  resampels: 5\n"))
    output = project.dvc("repro", "check", code=None)
    assert "report.resampels: unknown key; did you mean `resamples`?" in output
    assert "Traceback" not in output


@pytest.mark.slow
def test_the_labels_only_baseline_adds_its_row(project: Project) -> None:
    output = project.dvc("exp", "run", "-S", "baselines.labels_only=true")
    assert "evaluate_labels_only@reranker" in ran(output)
    comparison = json.loads((project.folder / "metrics/comparison.json").read_text())
    entry = comparison["reranker"]["domains"]["in_domain"]["pydocs"]["map"]
    assert 0 < entry["labels_only"] <= 1
    assert set(entry["over_labels_only"]) == {"mean", "low", "high", "p_value"}
    assert "labels only" in (project.folder / "report/table.md").read_text()
