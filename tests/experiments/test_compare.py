"""Two revisions are compared query by query, wherever DVC keeps their runs; what cannot be compared is told."""

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decant.errors import DecantError
from decant.evaluate.metrics import METRICS
from decant.experiments.comparing import compare_revisions
from decant.params import load_params
from decant.report.seeds import paired_difference
from decant.report.settings import ReportSettings
from decant.report.statistics import holm
from tests.support.project import ROOT, Project
from tests.support.remotes import free_port
from tests.support.revised_project import PATHS, begun, make, set_knobs

CHANGE = "second − first (95 % interval)"

Compare = Callable[..., str]


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> Compare:
    """Compare two revisions in a project's folder."""

    def run(
        project: Project,
        first: str,
        second: str,
        track: str | None = None,
        model: str = "after",
        metrics: Sequence[str] = ("map",),
    ) -> str:
        monkeypatch.chdir(project.folder)
        params = load_params(project.folder / "params.yaml")
        return compare_revisions(
            first, second, [track] if track else list(params.tracks), model, metrics, params
        ).markdown()

    return run


def command(project: Project, *arguments: str, code: int = 0) -> str:
    """The same as its user types it."""
    return project.decant("compare", *arguments, code=code)


def rows(output: str) -> list[dict[str, str]]:
    lines = [line.strip("| ").split(" | ") for line in output.splitlines() if line.startswith("|")]
    return [dict(zip(lines[0], cells, strict=True)) for cells in lines[2:]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with revisions of two seeds of two methods, of other test splits, and an experiment."""
    project = begun(tmp_path_factory.mktemp("made") / "a project")
    project.git("tag", "empty")
    make(project, "fewer", seed=1, queries=50)
    make(project, "other-candidates", seed=1, word="another")
    make(project, "graded", seed=1, grade=2)
    make(project, "with-ids", seed=1, ids=True)
    for seed in (2, 1):
        make(project, f"b{seed}", seed=seed, skill=1.0)
        make(project, f"a{seed}", seed=seed)
    project.dvc("exp", "run", "--quiet", "--temp", "--name", "try", "-S", "knobs.yaml:skill=1.0", **PATHS)
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    return made.copy(tmp_path / "a project")


def test_two_checkpoints_are_compared_on_both_sets_of_both_tracks(made: Project) -> None:
    output = command(made, "a1", "b1")
    assert [(row["track"], row["test set"]) for row in rows(output)] == [
        ("embedding", "icd10, in-domain"),
        ("embedding", "pydocs, out-of-domain"),
        ("reranker", "pydocs, in-domain"),
        ("reranker", "icd10, out-of-domain"),
    ]
    assert "This checkpoint, one seed, against that checkpoint, one seed" in output
    assert "adjusted for the 4 rows shown" in output
    chosen = command(made, "a1", "b1", "--track", "reranker", "--metric", "all", "--model", "after")
    assert [row["metric"] for row in rows(chosen)] == ["MAP", "MRR@10", "nDCG@10"] * 2
    assert {row["track"] for row in rows(chosen)} == {"reranker"}


def test_the_figures_are_those_of_the_runs(made: Project, compare: Compare, tmp_path: Path) -> None:
    values = []
    for tag in ("a1", "b1"):
        path = tmp_path / f"{tag}.parquet"
        made.dvc("get", ".", "data/runs/embedding/after.parquet", "--rev", tag, "--out", str(path))
        table = pq.read_table(path)
        inside = table["domain"].to_numpy(zero_copy_only=False) == "in_domain"
        values.append({name: table[name].to_numpy()[inside] for name in METRICS})
    found = rows(compare(made, "a1", "b1", "embedding", metrics=METRICS))
    assert len(found) == 6
    for row, metric in zip(found[:3], METRICS, strict=True):
        one, other = values[0][metric], values[1][metric]
        assert (row["first"], row["second"]) == (f"{one.mean():.4f}", f"{other.mean():.4f}")
        expected = paired_difference(other, one, ReportSettings(resamples=199), 0)
        assert row[CHANGE] == f"{expected.mean:+.4f} ({expected.low:+.4f} … {expected.high:+.4f})"
        assert (row["p"], row["p (Holm)"]) == ("≤ 0.0100", "≤ 0.0600")
        won, lost = (int((sign * (other - one) > 1e-9).sum()) for sign in (1, -1))
        assert row["won / lost / tied"] == f"{won} / {lost} / {60 - won - lost}"
        assert won > lost
    turned = rows(compare(made, "b1", "a1", "embedding"))
    assert turned[0]["won / lost / tied"].split(" / ")[:2] == found[0]["won / lost / tied"].split(" / ")[1::-1]


def test_a_checkpoint_is_its_own_equal(made: Project, compare: Compare) -> None:
    for row in rows(compare(made, "a1", "main", "embedding")):
        assert row[CHANGE] == "+0.0000 (+0.0000 … +0.0000)"
        assert (row["p"], row["p (Holm)"], row["won / lost / tied"]) == ("1.0000", "1.0000", "0 / 0 / 60")


def test_p_values_are_adjusted_for_the_rows_shown(made: Project, compare: Compare) -> None:
    found = rows(compare(made, "a1", "a2", metrics=METRICS))
    p_values = [float(row["p"]) for row in found]
    adjusted = holm(p_values)
    assert [float(row["p (Holm)"]) for row in found] == pytest.approx(adjusted, abs=2e-4)
    assert adjusted != p_values


def test_experiments_commits_and_the_workspace_are_revisions(project: Project, compare: Compare) -> None:
    expected = rows(compare(project, "a1", "b1"))
    commit = project.git("rev-parse", "a1").strip()
    assert rows(compare(project, commit[:8], "try")) == expected
    assert rows(compare(project, "main", "try")) == expected
    set_knobs(project, seed=1, skill=1.0)
    project.dvc("repro", "--quiet", **PATHS)
    assert rows(compare(project, "HEAD", "workspace")) == expected


def test_seeds_are_paired_and_their_spread_is_shown(made: Project, compare: Compare) -> None:
    output = compare(made, "a1,a2", "b1,b2", "embedding")
    assert "2 seeds a side, paired by their place" in output
    assert "one seed" not in output
    singles = [rows(compare(made, f"a{seed}", f"b{seed}", "embedding")) for seed in (1, 2)]
    for number, row in enumerate(rows(output)):
        one, two = (float(single[number]["first"]) for single in singles)
        mean, deviation = map(float, row["first"].split(" ± "))
        assert mean == pytest.approx((one + two) / 2, abs=1e-4)
        assert deviation == pytest.approx(abs(one - two) / 2**0.5, abs=1e-4)
        one, two = (float(single[number][CHANGE].split()[0]) for single in singles)
        assert float(row[CHANGE].split()[0]) == pytest.approx((one + two) / 2, abs=1e-4)
        assert float(row["sd of seeds"]) == pytest.approx(abs(one - two) / 2**0.5, abs=1e-4)
        assert sum(map(int, row["won / lost / tied"].split(" / "))) == 60


def test_runs_come_from_the_remote_even_one_added_after_the_revision(
    project: Project, compare: Compare, tmp_path: Path
) -> None:
    expected = rows(compare(project, "a1", "b1"))
    for tag in ("a1", "b1"):
        project.git("checkout", "--quiet", "--force", tag)
        project.dvc("checkout", "--quiet")
        project.dvc("remote", "add", "--force", "--default", "shared", str(tmp_path / "remote"))
        project.dvc("push", "--quiet")
    shutil.rmtree(project.folder / ".dvc/cache")
    shutil.rmtree(project.folder / "data")
    assert rows(compare(project, "a1", "b1")) == expected

    lock = project.git("show", "b1:dvc.lock")
    [md5] = re.findall(r"data/runs/embedding/after.parquet\n\s+hash: md5\n\s+md5: (\w+)", lock)
    path = tmp_path / "remote/files/md5" / md5[:2] / md5[2:]
    path.chmod(0o644)
    path.write_bytes(b"spoiled")
    with pytest.raises(DecantError, match=f"is corrupted: its MD5 is not {md5}"):
        compare(project, "a1", "b1")
    project.dvc("remote", "modify", "shared", "url", f"ssh://127.0.0.1:{free_port()}/nowhere")
    with pytest.raises(DecantError, match=r"the remote cannot be read: .*Connect"):
        compare(project, "a1", "b1")


def test_a_run_that_is_nowhere_is_told_with_what_brings_it(project: Project, compare: Compare) -> None:
    shutil.rmtree(project.folder / ".dvc/cache")
    path = "data/runs/embedding/after.parquet"
    with pytest.raises(DecantError) as caught:
        compare(project, "a1", "b1")
    assert caught.value.problem == f"a1: {path} is neither in DVC's cache nor on a remote"
    assert f"`dvc fetch --all-commits {path}`" in caught.value.remedy
    assert "`dvc exp pull REMOTE a1`" in caught.value.remedy
    shutil.rmtree(project.folder / "data/runs")
    with pytest.raises(DecantError) as caught:
        compare(project, "workspace", "a1")
    assert f"`dvc pull {path}`" in caught.value.remedy


@pytest.mark.parametrize(
    "first, second, model, fault",
    [
        ("a1", "nope", "after", "nope: unknown Git revision 'nope'"),
        ("a1", "b1", "teacher", "a1 has no data/runs/embedding/teacher.parquet"),
        ("empty", "b1", "after", "empty: data/runs/embedding/after.parquet was not made there"),
        ("a1,a2", "b1", "after", "2 and 1 revisions"),
        ("a1,", "b1,b2", "after", "a1, and b1,b2"),
        (
            "a1",
            "fewer",
            "after",
            "embedding, in-domain: the test split of icd10 at a1 is not that of icd10 at fewer: 60",
        ),
        ("a1,a2", "a1,fewer", "after", "icd10 at fewer: 60 and 50 queries"),
        ("a1", "other-candidates", "after", "icd10 at other-candidates: the same queries with other candidates"),
        ("a1", "graded", "after", "icd10 at graded: the same queries with other grades"),
    ],
)
def test_what_cannot_be_compared_is_told(
    made: Project, compare: Compare, first: str, second: str, model: str, fault: str
) -> None:
    with pytest.raises(DecantError) as caught:
        compare(made, first, second, model=model)
    assert fault in caught.value.problem
    assert caught.value.remedy


def test_a_set_that_has_got_ids_is_the_same_test_split(made: Project, compare: Compare) -> None:
    assert {row["won / lost / tied"] for row in rows(compare(made, "a1", "with-ids"))} == {"0 / 0 / 60"}
    assert rows(compare(made, "graded", "graded", metrics=METRICS))


def test_a_fault_is_told_without_a_traceback(made: Project) -> None:
    output = command(made, "a1", "nope", code=1)
    assert "unknown Git revision 'nope'" in output
    assert "dvc exp list" in output
    assert "Traceback" not in output
    assert "dvc checkout" not in output  # it is no stage


def rewrite(project: Project, edit: Callable[[pa.Table], pa.Table]) -> None:
    """Change the workspace's run of the embedding track."""
    path = project.folder / "data/runs/embedding/after.parquet"
    table = pq.read_table(path)
    path.unlink()  # it may be a link into the cache
    pq.write_table(edit(table), path)


def test_another_order_of_the_queries_is_another_split(project: Project, compare: Compare) -> None:
    rewrite(project, lambda table: table.take([1, 0, *range(2, len(table))]))
    with pytest.raises(DecantError) as caught:
        compare(project, "a1", "workspace")
    assert "2 queries differ, the first of them 'icd10 0' and 'icd10 1'" in caught.value.problem
    assert "icd10 at workspace" in caught.value.problem


def test_other_labels_are_another_split(project: Project, compare: Compare) -> None:
    labels = pa.array([[0, 1, 0, 0, 0, 0, 0]] * 120, pa.list_(pa.int8()))
    rewrite(project, lambda table: table.set_column(table.column_names.index("labels"), "labels", labels))
    with pytest.raises(DecantError, match="the same queries with other labels"):
        compare(project, "a1", "workspace")


def test_a_set_that_one_revision_lacks_is_left_out_and_said(project: Project, compare: Compare) -> None:
    rewrite(project, lambda table: table.slice(0, 60))
    output = compare(project, "workspace", "b1", "embedding")
    assert [row["test set"] for row in rows(output)] == ["icd10, in-domain"]
    assert "- embedding: workspace has no out-of-domain set; left out." in output


def test_a_run_of_an_earlier_version_is_told(project: Project, compare: Compare) -> None:
    rewrite(project, lambda table: table.drop_columns(["dataset"]))
    with pytest.raises(DecantError, match="has no column dataset: an earlier version of Decant wrote it"):
        compare(project, "a1", "workspace")


def test_an_option_that_there_is_not_is_told(made: Project) -> None:
    for option, value in (("--track", "rreanker"), ("--model", "afetr"), ("--metric", "recall")):
        output = command(made, "a1", "b1", option, value, code=1)
        assert f"{option} {value}: there is none" in output
        assert "Traceback" not in output


def test_a_baseline_that_was_off_is_told(project: Project, compare: Compare) -> None:
    rewrite(project, lambda table: table.slice(0, 0))
    with pytest.raises(DecantError, match="that baseline was off"):
        compare(project, "workspace", "b1", "embedding")


def test_outside_a_repository_it_says_so(tmp_path: Path, compare: Compare) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    with pytest.raises(DecantError) as caught:
        compare(Project(tmp_path), "a", "b")
    assert caught.value.remedy == "run in the project's folder, a git clone"
