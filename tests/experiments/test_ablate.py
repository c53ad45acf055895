"""Ablations run through DVC's real queue: once each, whatever is killed, and what fails is told and tried again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from decant.evaluate.run import read_metrics
from decant.experiments.ablations import FOLDER, PAGE, TABLES
from decant.experiments.results import read_queries, read_results
from decant.files import read_json
from tests.support.ablation_project import GRID, ablate, copy, edit_grid, make, trained
from tests.support.project import Project, path_of_the_queue, ran

GRID_NAME = GRID.stem

RESULTS, QUERIES = FOLDER / f"{GRID_NAME}.csv", FOLDER / "queries" / GRID_NAME


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small project with two cells and two seeds, of which nothing was run. Tests must not change it."""
    return make(tmp_path_factory.mktemp("fresh") / "a project")


@pytest.fixture(scope="module")
def done(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same after one run of the command. Tests must not change it."""
    project = copy(fresh, tmp_path_factory.mktemp("done"))
    output = ablate(project)
    assert "4 experiments to run" in output
    return project


def test_every_cell_runs_once_with_every_seed(done: Project) -> None:
    results = read_results(done.folder / RESULTS)
    assert [(result.cell, result.seed) for result in results] == [
        ("full", 0),
        ("full", 1),
        ("labels-alone", 0),
        ("labels-alone", 1),
    ]
    weight = YAML(typ="safe").load(done.folder / "params.yaml")["embedding"]["loss"]["label_weight"]
    assert trained(done) == [f"{weight:g} 0", f"{weight:g} 1", "1 0", "1 1"]
    assert all(result.seconds == 7.0 and not result.fault for result in results)
    assert done.git("rev-parse", "HEAD").startswith(results[0].revision)
    table = read_json(done.folder / "plots/embedding" / TABLES)[GRID_NAME]
    assert [row[0] for row in table["rows"]] == ["full", "labels-alone"]
    assert results[3].metrics["in_domain"]["map"] > results[1].metrics["in_domain"]["map"] + 0.2


def get(project: Project, model: str, name: str, folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """A model's run of a finished experiment, by domain."""
    path = folder / f"{model}-{name}"
    source = f"data/runs/embedding/{model}.parquet"
    project.dvc("get", ".", source, "--rev", f"{GRID_NAME}-{name}", "--out", str(path))
    return {domain: metrics for domain, sets in read_metrics(path).items() for metrics in sets.values()}


def test_the_figures_are_those_of_the_experiments(done: Project, tmp_path: Path) -> None:
    for result in read_results(done.folder / RESULTS)[1:3]:
        name = f"{result.cell}-{result.seed}"
        kept = read_queries(done.folder / QUERIES / f"{name}.parquet")
        teacher = get(done, "teacher", name, tmp_path)
        run = get(done, "after", name, tmp_path)
        assert set(run) == set(kept) == set(result.metrics) == {"in_domain", "out_of_domain"}
        for domain, metrics in run.items():
            assert kept[domain].values.tolist() == metrics["map"].tolist()
            assert kept[domain].teacher.tolist() == teacher[domain]["map"].tolist() != metrics["map"].tolist()
            means = {metric: round(float(values.mean()), 6) for metric, values in metrics.items()}
            assert result.metrics[domain] == means


def test_a_second_call_runs_nothing(done: Project) -> None:
    before = {path: path.read_bytes() for path in (done.folder / "ablations").rglob("*.*")}
    assert "experiments to run" not in ablate(done)
    assert len(trained(done)) == 4
    assert {path: path.read_bytes() for path in (done.folder / "ablations").rglob("*.*")} == before
    listed = ablate(done, "--list").splitlines()
    assert [line.split(":")[0] for line in listed] == ["full-0", "full-1", "labels-alone-0", "labels-alone-1"]
    assert all("in-domain MAP 0." in line and "trained in 7 s" in line for line in listed)


def test_the_tables_stand_between_the_marks_and_the_rest_of_the_page_stays(done: Project) -> None:
    page = (done.folder / PAGE).read_text()
    assert page.startswith("# Ablations\n")
    assert "| labels-alone | labels without the teacher | 2 |" in page
    (done.folder / PAGE).write_text(page.replace("| labels-alone |", "| something |") + "\nThe end.\n")
    ablate(done, "--render")
    assert (done.folder / PAGE).read_text() == page + "\nThe end.\n"
    (done.folder / PAGE).write_text(page)


def test_the_queue_and_the_workspace_are_left_as_they_were(done: Project) -> None:
    assert "No experiment tasks in the queue." in done.dvc("queue", "status")
    changed = set(done.git("status", "--short").splitlines())
    assert changed == {f" M {PAGE}", "?? ablations/queries/", f"?? {RESULTS}", "?? plots/"}
    assert "parts-labels-alone-1" in done.dvc("exp", "list")


def test_a_cell_that_fails_is_told_and_tried_anew_and_a_changed_one_runs_again(done: Project, tmp_path: Path) -> None:
    project = copy(done, tmp_path)

    def edit(grid: dict) -> None:
        grid["seeds"] = [0]
        grid["cells"]["full"]["says"] = "told in other words"  # which changes no figure
        grid["cells"]["labels-alone"]["set"]["embedding.loss.label_weight"] = 0.9
        broken = {"embedding.loss.label_weight": 0.6, "train.weight_decay": 2.0}
        grid["cells"] = {"broken": {"track": "embedding", "says": "fails", "set": broken}, **grid["cells"]}

    edit_grid(project, edit)
    assert "labels-alone-0: changed since it was run" in ablate(project, "--list")
    output = ablate(project, code=1)
    fault = "train@embedding: the loss is nan at step 3"
    assert f"broken-0: failed: {fault}" in output
    assert "1 of 2 experiments failed: broken-0" in output
    assert trained(project) == ["0.6 0", "0.9 0"]
    results = {(result.cell, result.seed): result for result in read_results(project.folder / RESULTS)}
    assert results["broken", 0].fault == fault
    assert results["broken", 0].metrics == {}
    assert not results["labels-alone", 0].fault
    assert results["labels-alone", 1].seconds == 7.0  # an earlier result stays, though the grid has left that seed
    assert f"- broken, seed 0 failed: {fault}" in (project.folder / PAGE).read_text()

    edit_grid(project, lambda grid: grid["cells"]["broken"]["set"].update({"train.weight_decay": 0.5}))
    ablate(project, "--only", "full")
    assert len(trained(project)) == 2
    ablate(project)
    assert trained(project) == ["0.6 0", "0.9 0", "0.6 0"]
    results = {(result.cell, result.seed): result for result in read_results(project.folder / RESULTS)}
    assert not results["broken", 0].fault
    assert len(results) == 5


def test_another_grid_has_results_and_tables_of_its_own(done: Project, tmp_path: Path) -> None:
    project = copy(done, tmp_path)
    parts = (project.folder / RESULTS).read_bytes()
    content = YAML(typ="safe").load(project.folder / GRID)
    content["seeds"] = [1]
    content["cells"]["full"]["says"] = "of the other grid"
    content["base"] = {"train.weight_decay": 0.5}
    YAML().dump(content, project.folder / "ablations/thorough.yaml")
    assert "2 experiments to run" in ablate(project, "--grid", "thorough", "--jobs", "2")
    assert sorted(trained(project)) == sorted(of for of in trained(done) if of.endswith(" 1"))
    assert len(read_results(project.folder / "ablations/thorough.csv")) == 2
    assert (project.folder / "ablations/queries/thorough/full-1.parquet").exists()
    assert (project.folder / RESULTS).read_bytes() == parts
    before, page = (of.folder.joinpath(PAGE).read_text().split("<!-- thorough: ") for of in (done, project))
    assert page[0] == before[0]
    assert "| full | of the other grid | 1 |" in page[1]
    assert "--grid thorouhg: there is none" in ablate(project, "--grid", "thorouhg", code=1)


@pytest.mark.slow
def test_the_pipeline_itself_trains_one_track_and_scores_nothing_again(pipeline: Project, tmp_path: Path) -> None:
    project = pipeline.copy(tmp_path / "a project")

    def grid(content: dict) -> None:
        cells = content["cells"]
        whole = next(name for name, cell in cells.items() if cell["track"] == "embedding" and not cell["set"])
        weight = {"track": "embedding", "says": "x", "set": {"embedding.loss.label_weight": 0.9}}
        content.update(
            seeds=[0, 1], base={"embedding.train.epochs": 0.5}, cells={whole: cells[whole], "weight": weight}
        )

    shutil.rmtree(project.folder / QUERIES, ignore_errors=True)
    (project.folder / RESULTS).unlink(missing_ok=True)
    edit_grid(project, grid)
    project.commit()
    output = project.decant("ablate", PATH=path_of_the_queue())
    assert "4 experiments to run, 0 of them in the queue already" in output
    logs = [path.read_text() for path in (project.folder / ".dvc/tmp/exps/run").rglob("*.out")]
    assert len(logs) == 4
    assert set().union(*map(ran, logs)) == {"triplets@embedding", "train@embedding", "evaluate_after@embedding"}
    results = read_results(project.folder / RESULTS)
    assert [result.seed for result in results] == [0, 1, 0, 1]
    assert all(result.metrics["in_domain"]["map"] > 0 and result.seconds for result in results)
