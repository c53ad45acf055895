"""The threshold that is chosen on dev, and where a student keeps it."""

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import CrossEncoder, SentenceTransformer
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from decant import paths
from decant.data.sets import Row, Split, read_split, write_split
from decant.evaluate.metrics.matches import best_candidates, measure_matches
from decant.evaluate.run import Run, evaluate, run_from_scores
from decant.files import read_json
from decant.kinds import TRACKS
from decant.models.threshold import Threshold, read_threshold
from decant.train.threshold import choose
from tests.support.training_project import TrainingProject


def run_of(scores: list[list[float]]) -> Run:
    """One positive a query, which scores the first number."""
    rows = [Row(f"q{n}", ["p"], [f"n{m}" for m in range(len(each) - 1)]) for n, each in enumerate(scores)]
    return run_from_scores(rows, np.array([score for each in scores for score in each], np.float32), "bi_encoder")


def drawn(queries: int = 300) -> Run:
    generator = np.random.default_rng(0)
    return run_of([[generator.normal(1.0), *generator.normal(size=5)] for _ in range(queries)])


def f1(run: Run, threshold: float) -> float:
    whole, without = best_candidates(run.labels, run.scores)
    shown = [best.positive for best in [*whole, *without] if best.score >= threshold]
    return 2 * sum(shown) / (len(shown) + len(whole))


def test_no_other_threshold_has_a_better_f1() -> None:
    run = drawn()
    chosen = choose(run)
    assert chosen is not None
    others = {best.score for part in best_candidates(run.labels, run.scores) for best in part}
    assert f1(run, chosen.score) == max(f1(run, score) for score in others)


def test_scores_that_differ_in_their_last_digits_are_told_apart() -> None:
    run = run_of([[0.5000004, 0.5000001], [0.5000005, 0.5]])
    chosen = choose(run)
    assert chosen is not None
    assert measure_matches(run.labels, run.scores, chosen.score)["match_precision"] == 1.0
    assert chosen.probability(-1.0) == 0.0  # a line so steep that exp would overflow


def test_what_separates_matches_from_others_lies_between_them() -> None:
    chosen = choose(run_of([[0.9, 0.2], [0.8, 0.4], [0.95, 0.1]]))
    assert chosen is not None
    assert chosen.score == pytest.approx(0.6, abs=1e-6)
    assert 0 < chosen.probability(0.4) < 0.5 < chosen.probability(0.8) < 1  # certain of nothing, after three queries


def test_the_probability_is_that_of_the_librarys_sigmoid_calibration() -> None:
    run = drawn()
    whole, without = best_candidates(run.labels, run.scores)
    scores = np.array([[best.score] for best in [*whole, *without]])
    positive = np.array([best.positive for best in [*whole, *without]])
    line = LogisticRegression().fit(scores, positive)
    line.coef_, line.intercept_ = np.array([[1.0]]), np.array([0.0])  # its decision function is the score itself
    library = CalibratedClassifierCV(FrozenEstimator(line), method="sigmoid", ensemble=False).fit(scores, positive)
    chosen = choose(run)
    assert chosen is not None
    expected = library.predict_proba(scores[:50])[:, 1]
    assert [chosen.probability(score) for score in scores[:50, 0]] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    "scores",
    [
        [[0.1, 0.9], [0.2, 0.8]],  # no best candidate is a match
        [[0.30, 0.2], [0.31, 0.2], [0.1, 0.9], [0.1, 0.8]],  # the higher the score, the less likely
    ],
)
def test_none_is_chosen_where_no_score_tells_matches_from_others(scores: list[list[float]]) -> None:
    assert choose(run_of(scores)) is None


@pytest.mark.parametrize(("track", "loader"), [("embedding", SentenceTransformer), ("reranker", CrossEncoder)])
def test_the_student_keeps_it_in_its_config_and_on_its_card(
    track: str, loader: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = TrainingProject(tmp_path, 0.0, epochs=1, evaluations=1)
    if track == "reranker":
        project.params[track]["student"]["head"] = "fresh"
    else:
        rows = [Row(f"a ripe {name}", [f"the {name} is ripe"], ["rain on Monday"]) for name in ("plum", "pear", "fig")]
        write_split(tmp_path / paths.split(project.params[track]["in_domain"], "dev"), Split(rows, ""))
    project.train_here(track, monkeypatch)
    folder = tmp_path / "models" / track
    kept = read_threshold(folder)
    card = (folder / "README.md").read_text()
    config = read_json(folder / "config_sentence_transformers.json")
    loader(str(folder))  # which passes over what it does not know
    assert "__version__" in config
    assert kept is not None
    assert config["decant"] == {"threshold": kept._asdict()}
    assert f"a best candidate that scores below {kept.score:g} is not shown" in card
    models = TRACKS[track].models
    run = evaluate(
        models.make_scorer(models.load(folder), None),
        read_split(paths.split(project.params[track]["in_domain"], "dev")),
    )
    assert f"| {measure_matches(run.labels, run.scores, kept.score)['match_recall']:.1%} |" in card


def test_another_models_config_has_none(tmp_path: Path) -> None:
    (tmp_path / "config_sentence_transformers.json").write_text("{}")
    assert read_threshold(tmp_path) is None
    assert Threshold(0.5, 2.0, -1.0).probability(0.5) == 0.5
