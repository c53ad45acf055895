"""The learning curve: sizes and seeds through DVC's queue, and what the next doubling is expected to bring."""

import json
from pathlib import Path

import numpy as np
import pytest

from decant.data.sets import Row, Split, write_split
from decant.experiments.curve import doublings, next_doubling
from decant.report.charts import needed_chart
from decant.report.needed import needed_notes, needed_table
from tests.support.ablation_project import copy, make, trained, variables
from tests.support.project import Project, path_of_the_queue
from tests.support.scored_rows import scored, write_scores_file

CURVE = Path("plots/embedding/curve.json")
SIZES = "4,8,16"


def curve(project: Project, *arguments: str, code: int = 0) -> str:
    more = {**variables(project), "PATH": path_of_the_queue()}
    output = project.decant("curve", "--track", "embedding", *arguments, code=code, **more)
    assert "Traceback" not in output
    return output


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small project, whose train split is scored, before anything is run. Tests must not change it."""
    project = make(tmp_path_factory.mktemp("fresh") / "a project")
    (project.folder / "data/scores/embedding").mkdir(parents=True)
    labelled = [Row(f"q{n}", ["good"], ["bad"]) for n in range(16)]
    write_split(project.folder / "data/mined/embedding.parquet", Split(labelled, ""))
    rows = [[(f"q{n}", "good", 1, 0.9), (f"q{n}", "bad", 0, 0.1)] for n in range(16)]
    write_scores_file(project.folder / "data/scores/embedding", scored(*rows))
    return project


@pytest.fixture(scope="module")
def done(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same after a curve of three sizes with one seed. Tests must not change it."""
    project = copy(fresh, tmp_path_factory.mktemp("curve"))
    assert "3 experiments to run" in curve(project, "--sizes", SIZES, "--seeds", "0")
    return project


def test_every_size_has_its_figures_with_and_without_the_teacher(done: Project) -> None:
    content = json.loads((done.folder / CURVE).read_text())
    found = {(point["queries"], point["model"], point["domain"]): point for point in content["points"]}
    domains, models = ("in_domain", "out_of_domain"), ("after", "labels_only")
    assert set(found) == {(size, model, domain) for size in (4, 8, 16) for model in models for domain in domains}
    for domain in domains:
        assert found[16, "after", domain]["mean"] > found[4, "after", domain]["mean"] + 0.1
        assert found[16, "after", domain]["mean"] > found[16, "labels_only", domain]["mean"]
    point = found[8, "after", "in_domain"]
    assert (point["seeds"], point["low"] < point["mean"] < point["high"]) == (1, True)
    means = {size: np.array([found[size, "after", "in_domain"]["mean"]]) for size in (4, 8, 16)}
    expected = next_doubling(means, 0.95)
    assert expected is not None
    assert content["doubling"]["after"]["in_domain"]["mean"] == pytest.approx(expected["mean"], abs=2e-6)


def test_the_same_call_again_runs_nothing_and_another_size_alone_is_run(done: Project, tmp_path: Path) -> None:
    written = (done.folder / CURVE).read_bytes()
    assert "experiments to run" not in curve(done, "--sizes", SIZES, "--seeds", "0")
    assert (done.folder / CURVE).read_bytes() == written
    assert len(trained(done)) == 3
    more = copy(done, tmp_path)
    assert "1 experiments to run" in curve(more, "--sizes", f"{SIZES},2", "--seeds", "0")
    assert len(trained(more)) == 1
    points = json.loads((more.folder / CURVE).read_text())["points"]
    assert [point["queries"] for point in points[:4]] == [2, 4, 8, 16]


@pytest.mark.slow
def test_without_labels_alone_is_a_curve_of_its_own(fresh: Project, tmp_path: Path) -> None:
    project = copy(fresh, tmp_path)
    assert "1 experiments to run" in curve(project, "--sizes", "6", "--seeds", "0", "--no-labels-only")
    models = {point["model"] for point in json.loads((project.folder / CURVE).read_text())["points"]}
    assert models == {"after"}
    assert "1 experiments to run" in curve(project, "--sizes", "6", "--seeds", "0")
    assert len(trained(project)) == 2


def test_what_has_no_labels_is_told_what_to_leave_out(fresh: Project, tmp_path: Path) -> None:
    project = copy(fresh, tmp_path)
    write_split(project.folder / "data/mined/embedding.parquet", Split([Row("q", unlabelled=["a", "b"])], ""))
    assert "give --no-labels-only" in curve(project, code=1)
    (tmp_path / "other").mkdir()
    project = copy(fresh, tmp_path / "other")
    project.edit_params(lambda params: params["reranker"]["triplets"].update(strategy="teacher_top_k", positives=1))
    project.edit_params(lambda params: params["reranker"]["loss"].update(label_weight=0.0))
    assert "or leave students of labels alone out: --no-labels-only" in curve(project, code=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sizes", "4,17"), "the teacher has scored 16 train queries of embedding"),
        (("--sizes", "0"), "name sizes from 1 to 16"),
        (("--sizes", "many"), "--sizes many: not numbers"),
        (("--seeds", "0,0"), "--seeds 0,0: give each once"),
        (("--track", "other"), "--track other: there is no such track"),
    ],
)
def test_what_cannot_be_run_is_told_before_anything_is(done: Project, arguments: tuple[str, ...], words: str) -> None:
    assert words in curve(done, *arguments, code=1)
    assert len(trained(done)) == 3


def test_the_sizes_double_up_to_all_there_are() -> None:
    assert doublings(1300) == [100, 200, 400, 800, 1300]
    assert doublings(900) == [100, 200, 400, 900]  # 800 would show nothing that 900 does not
    assert doublings(800) == [100, 200, 400, 800]
    assert doublings(60) == [60]


def test_the_next_doubling_is_the_trend_of_the_last_three_sizes() -> None:
    means = {size: np.array([0.1 * step, 0.1 * step + 0.3]) for step, size in enumerate((100, 200, 400, 800))}
    means[100] = np.array([0.9, 0.0])  # which is not looked at
    assert next_doubling(means, 0.95) == {"mean": 0.1, "low": 0.1, "high": 0.1}
    means[800] = np.array([0.3, 0.8])  # the second seed rises by 0.2 a doubling
    expected = next_doubling(means, 0.95)
    assert expected is not None
    half = 12.7062 * 0.05  # Student's t of one degree of freedom, times the standard error of the slopes 0.1 and 0.2
    assert (expected["mean"], expected["high"]) == (pytest.approx(0.15), pytest.approx(0.15 + half, abs=1e-4))
    assert next_doubling({100: np.zeros(2), 200: np.zeros(2)}, 0.95) is None
    one = next_doubling({size: values[:1] for size, values in means.items()}, 0.95)
    assert one == {"mean": 0.1, "low": None, "high": None}


def test_the_report_has_table_sentence_and_chart(done: Project) -> None:
    needed = json.loads((done.folder / CURVE).read_text())
    headers, rows = needed_table({"embedding": {"needed": needed}, "reranker": {}})
    assert [row[:2] for row in rows] == [["embedding", "4"], ["embedding", "8"], ["embedding", "16"]]
    point = next(point for point in needed["points"] if point["queries"] == 8)
    assert f"{point['mean']:.4f} ({point['low']:.4f} … {point['high']:.4f})" in rows[1]
    assert len(headers) == len(rows[0]) == 6
    in_domain, out_of_domain = needed_notes("embedding", needed)
    assert "twice as many train queries as 16 bring" in in_domain
    assert out_of_domain.endswith("out-of-domain.")
    assert needed_chart(needed["points"]).startswith("<svg")
    in_domain_alone = [point for point in needed["points"] if point["domain"] == "in_domain"]
    assert needed_chart(in_domain_alone).count(">train queries<") == 1
    assert list(needed_notes("embedding", {})) == []
    assert needed_table({"embedding": {}})[1] == []
