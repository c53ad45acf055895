"""What a track's training writes beside the student: card, curves and cost; and a loss that somebody adds."""

import sys
from pathlib import Path

import pytest

from decant.files import read_json
from decant.train.losses import LOSSES, LossEntry
from tests.support.training_project import TrainingProject

# The one file of a new loss.
ADDED = """
from torch.nn.functional import smooth_l1_loss


def distil(batch, settings):
    return smooth_l1_loss(batch.student, batch.labels.scores)
"""


def card(project: TrainingProject, track: str) -> str:
    return (project.folder / "models" / track / "README.md").read_text()


@pytest.mark.parametrize("track", ["embedding", "reranker"])
def test_the_card_states_the_settings_that_were_used(
    track: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A track's own settings over the shared ones; `epochs: 0` over all."""
    project = TrainingProject(tmp_path, 0.0, epochs=1, evaluations=1)
    project.params[track]["train"].update(lr=2e-5, epochs=2)
    project.set()
    project.train_here(track, monkeypatch)
    stated = card(project, track)
    assert "- train.lr: 2e-05\n" in stated
    assert "- train.epochs: 2.0\n" in stated
    assert f"Trained on `{project.params[track]['in_domain']}`" in stated
    project.set(epochs=0)
    project.train_here(track, monkeypatch)
    assert "- train.epochs: 0.0\n" in card(project, track)
    assert "Not trained: `train.epochs` is 0." in card(project, track)


def test_the_card_states_the_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = TrainingProject(tmp_path, 0.0, epochs=0)
    project.train_here("embedding", monkeypatch)
    assert "Before a query stands nothing, before a document nothing.\n" in card(project, "embedding")
    project.params["embedding"]["student"]["query_prompt"] = "Instruct: {task}\nQuery: "
    project.set()
    project.train_here("embedding", monkeypatch)
    stated = card(project, "embedding")
    assert (
        r'Before a query stands `"Instruct: {task}\nQuery: "`, before a document nothing. `{task}` stands for' in stated
    )


def test_nothing_trained_leaves_a_loss_curve_without_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = TrainingProject(tmp_path, 0.0, epochs=0)
    project.train_here("embedding", monkeypatch)
    assert (tmp_path / "plots/embedding/loss.csv").read_text() == "step,loss\n"
    assert [point["step"] for point in project.points("embedding", "dev.csv")] == ["0"]


def test_the_cost_tells_time_n_tuples_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = TrainingProject(tmp_path, 0.0, epochs=0)
    project.train_here("reranker", monkeypatch)
    cost = read_json(tmp_path / "data/cost/reranker/train.json")
    assert list(cost) == ["seconds", "tuples", "parameters", "bytes", "alpha", "cut"]
    assert (cost["tuples"], cost["alpha"]) == (11, 1.0)
    assert cost["bytes"] == (tmp_path / "models/reranker/model.safetensors").stat().st_size
    assert cost["bytes"] / 4.1 < cost["parameters"] < cost["bytes"] / 4


@pytest.mark.parametrize(("track", "cut"), [("embedding", {"queries": 0, "documents": 2}), ("reranker", {"pairs": 16})])
def test_what_the_student_cuts_is_counted_told_and_on_the_card(
    track: str,
    cut: dict[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = TrainingProject(tmp_path, 0.0, epochs=0)
    project.params[track]["student"]["max_length"] = 24
    project.guard(track, 0.1)
    project.train_here(track, monkeypatch)
    counts = read_json(tmp_path / "data/cost" / track / "train.json")["cut"]
    in_domain = project.params[track]["in_domain"]
    assert {name: list(splits) for name, splits in counts.items()} == {in_domain: ["n-tuples", "dev"], "cwe": ["dev"]}
    found = counts[in_domain]["n-tuples"]
    assert {name: count["cut"] for name, count in found.items()} == cut
    name, number = next(item for item in cut.items() if item[1])
    told = f"of {in_domain}, n-tuples, {number} of {found[name]['distinct']} {name} are longer than the student reads"
    assert told in capsys.readouterr().out
    row = f"| {in_domain}, n-tuples | {name} | {found[name]['distinct']} | {number} | {found[name]['share']:.2%} |"
    assert row in card(project, track)


@pytest.mark.parametrize("track", ["embedding", "reranker"])
def test_a_new_loss_is_one_module_and_one_entry(track: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "huber_on_scores.py").write_text(ADDED)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(LOSSES, "huber", LossEntry("huber_on_scores", "the Huber loss on scores"))
    project = TrainingProject(tmp_path, 0.0, epochs=2, evaluations=1)
    project.params[track]["loss"]["name"] = "huber"
    project.set()
    project.train_here(track, monkeypatch)
    del sys.modules["huber_on_scores"]
    curve = project.points(track, "loss.csv")
    assert list(curve[0]) == ["step", "loss", "huber", "contrastive"]
    assert all(float(point["huber"]) > 0 for point in curve)
    assert "with the Huber loss on scores, label weight 0.5." in card(project, track)
