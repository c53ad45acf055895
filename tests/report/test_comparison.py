"""The comparison says what was gained and what was lost, and beside which baselines; the report shows it as agreed."""

import numpy as np
import pytest

from decant.evaluate.metrics import METRICS
from decant.files import write_json
from decant.report.build import TrackResults, build, read_plots
from decant.report.comparison import adjust, compare
from decant.report.corpora import NOT_SEARCHED
from decant.report.figures import p_value, percent, shared, signed, spread
from decant.report.notes import notes
from decant.report.table import markdown, summary
from tests.support.compared import SETTINGS, comparison, cost, models, tables
from tests.support.ranked import set_of


def test_the_share_of_the_gap_that_was_closed():
    entry = compare(models(before=0.4, after=0.5, teacher=0.6), *SETTINGS)["map"]
    assert entry["gap_closed"] == pytest.approx(0.5)
    assert entry["relative_change"] == pytest.approx(0.25)
    assert entry["change"]["mean"] == pytest.approx(0.1)
    assert (entry["before"], entry["after"], entry["teacher"]) == (0.4, 0.5, 0.6)


@pytest.mark.parametrize(
    "after, teacher, expected",
    [
        (0.7, 0.6, 1.5),  # better than its teacher
        (0.3, 0.6, -0.5),  # worse than before
        (0.5, 0.4, None),  # the teacher is no better than before
        (0.5, 0.3, None),  # the teacher is worse
    ],
)
def test_a_gap_is_closed_only_where_there_is_one(after, teacher, expected):
    closed = compare(models(before=0.4, after=after, teacher=teacher), *SETTINGS)["map"]["gap_closed"]
    assert closed == (None if expected is None else pytest.approx(expected))


def test_a_gap_of_rounding_is_no_gap():
    values = {"before": [0.3, 0.2, 0.1], "after": [0.5, 0.2, 0.1], "teacher": [0.1, 0.2, 0.3]}
    assert np.mean(values["teacher"]) - np.mean(values["before"]) > 0  # the same values, added in another order
    made = {name: dict.fromkeys(METRICS, np.array(value)) for name, value in values.items()}
    assert compare(made, *SETTINGS)["map"]["gap_closed"] is None


def test_without_a_teacher_there_is_no_gap():
    entry = compare(models(before=0.4, after=0.5), *SETTINGS)["map"]
    assert entry["gap_closed"] is None
    assert "teacher" not in entry


def test_a_start_at_zero_has_no_relative_change():
    zero = dict.fromkeys(METRICS, np.zeros(40))
    assert compare({**models(after=0.5), "before": zero}, *SETTINGS)["map"]["relative_change"] is None


def test_the_labels_only_student_is_compared_where_it_was_trained():
    assert "over_labels_only" not in compare(models(before=0.4, after=0.5), *SETTINGS)["map"]
    entry = compare(models(before=0.4, after=0.5, labels_only=0.55), *SETTINGS)["map"]
    assert entry["over_labels_only"]["mean"] == pytest.approx(-0.05)
    assert entry["labels_only"] == 0.55


def test_queries_won_and_lost_are_counted():
    made = models(before=0.4, after=0.4)
    made["after"]["map"] = made["before"]["map"] + np.array([0.1] * 12 + [0.0] * 20 + [-0.1] * 8)
    result = compare(made, *SETTINGS)
    assert (result["wins"], result["ties"], result["losses"], result["queries"]) == (12, 20, 8, 40)


def test_the_tables_show_every_metric_with_signs():
    _, means, changes, *_ = tables(markdown(comparison(0.45), cost()))
    assert [row[2] for row in means[2:]] == [row[2] for row in changes[2:]] == ["MAP", "MRR@10", "nDCG@10"]
    for row in means[2:]:
        assert row[:2] == ["embedding", "own-set, in-domain"]
        assert row[3:] == ["0.5000", "0.4500", "0.6000"]
    for row in changes[2:]:
        assert row[3:] == ["-0.0500 (-0.0500 … -0.0500)", "≤ 0.0020", "≤ 0.0060", "-10.0 %", "-50.0 %"]
    rose = tables(markdown(comparison(0.55), cost()))[2][2]
    assert rose[3] == "+0.0500 (+0.0500 … +0.0500)"
    assert rose[-2:] == ["+10.0 %", "50.0 %"]


def test_the_tables_are_whole():
    for more in ({}, {"labels_only": 0.52}, {"teacher": 0.5}, {"bm25": 0.3, "baseline": 0.6, "labels_only": 0.1}):
        made = tables(markdown(comparison(0.55, **more), cost()))
        assert len(made) == 5
        for rows in made:
            assert len({len(row) for row in rows}) == 1


def test_every_change_is_adjusted_for_all_that_the_table_shows():
    made = comparison(0.55)
    entry = made["embedding"]["domains"]["in_domain"]["own-set"]
    changes = [entry[metric]["change"] for metric in METRICS]
    assert [change["p_holm"] for change in changes] == pytest.approx([3 * change["p_value"] for change in changes])
    both = {"embedding": made["embedding"], "reranker": comparison(0.55)["embedding"]}
    adjust(both)
    assert entry["map"]["change"]["p_holm"] == pytest.approx(6 * entry["map"]["change"]["p_value"])


def test_a_baseline_has_a_column_where_it_ran():
    assert tables(markdown(comparison(0.55), cost()))[1][0][3:] == ["before", "after", "teacher"]
    means = tables(markdown(comparison(0.55, bm25=0.3, baseline=0.4), cost()))[1]
    assert means[0][3:] == ["before", "after", "teacher", "untouched model", "BM25"]
    assert means[2][-2:] == ["0.4000", "0.3000"]


def test_what_splits_share_has_a_row_a_set_and_role():
    shown = tables(markdown(comparison(0.55), cost()))[4]
    assert [row[:2] for row in shown[2:]] == [
        [name, role] for name in ("own-set", "own-set → other") for role in ("queries", "candidates")
    ]
    assert shown[2][2:] == ["0 / 1 / 2 of 9"] * 3
    assert shown[4][2:] == ["–", "0 / 1 / 2 of 9", "–"]


def test_a_set_of_both_tracks_is_shown_once():
    both = {"embedding": comparison(0.55)["embedding"], "reranker": comparison(0.55)["embedding"]}
    costs = {"embedding": cost()["embedding"], "reranker": cost()["embedding"]}
    adjust(both)
    assert len(tables(markdown(both, costs))[4]) == 2 + 4


def test_a_value_that_there_is_not_is_a_dash():
    assert tables(markdown(comparison(0.55, teacher=0.5), cost()))[2][2][-2:] == ["+10.0 %", "–"]


def test_the_interval_is_headed_by_its_confidence():
    assert "95 % interval" in tables(markdown(comparison(0.55), cost()))[2][0][3]


def test_a_speed_that_was_not_measured_is_not_shown_and_the_reason_is():
    text = markdown(comparison(0.55), cost(None))
    assert "pairs/s" not in text
    assert "times its speed" not in text
    assert "- embedding: no speed is shown: the teacher is asleep." in text


def test_the_summary_has_a_row_a_test_set_and_begins_the_page():
    made = comparison(0.55, bm25=0.3, baseline=0.4)
    headers, _, *rows = tables(summary(made))[0]
    assert headers[2:7] == ["MAP before", "after", "teacher", "untouched model", "BM25"]
    assert headers[7:] == ["after − before (95 % interval)", "p (Holm)"]
    [[track, test_set, *means, change, p_holm]] = rows
    assert (track, test_set) == ("embedding", "own-set, in-domain")
    assert means == ["0.5000", "0.5500", "0.6000", "0.4000", "0.3000"]
    assert (change, p_holm) == ("+0.0500 (+0.0500 … +0.0500)", "≤ 0.0060")
    assert markdown(made, cost()).startswith(summary(made))


WHOLE = {"distinct": 50, "cut": 0, "share": 0.0}
DOCUMENTS = {"distinct": 40, "cut": 2, "share": 0.05}
MATCHES = {"score": 0.65432, "match_precision": 0.75, "match_recall": 0.6, "shown_without_match": 0.125}
ENGINES = {f"plain 1.0 on {host}": {"prompts": 1200, "tokens": 34000, "seconds": 30.5} for host in ("one", "two")}
CUT = {"dev": {"queries": WHOLE, "documents": {"distinct": 50, "cut": 1, "share": 0.02}}}


@pytest.mark.parametrize("ratio", [3.0, None])
def test_a_training_of_no_step_is_reported_too(tmp_path, ratio):
    """`train.epochs` 0 writes curves of a header alone; None is a teacher whose speed was not measured."""
    for name in ("loss", "dev", "guard"):
        (tmp_path / f"{name}.csv").write_text("step,loss\n")
    parts = {"headers": ["cell", "what it shows", "MAP"], "rows": [["kl", "KL", "0.5"]], "notes": ["Run at abc."]}
    write_json(tmp_path / "ablations.json", {"parts": parts})
    measured = cost(ratio)["embedding"]
    values = models(before=0.5, after=0.5, teacher=0.6)
    track = TrackResults(
        runs={name: {"in_domain": {"own-set": metrics}} for name, metrics in values.items()},
        searched=NOT_SEARCHED,
        exported={},
        sets={},
        **read_plots(tmp_path),
        cost={
            "teacher": {**measured["teacher"], "engines": ENGINES, "cut": {"own-set": {"test": {"pairs": WHOLE}}}},
            "train": {**measured["student"], "seconds": 0.0, "tuples": 5, "alpha": 1.0, "cut": {"own-set": CUT}},
            "speed": measured["speed"],
        },
        overlap={},
        cut={"own-set": {"test": {"queries": WHOLE, "documents": DOCUMENTS}}},
        matches={"in_domain": {"own-set": MATCHES}},
        left_out={},
        guard={"dataset": None, "max_loss": 0.02},
        fresh_head=False,
        baseline=None,
        ranked=[set_of(before=[[3.0, 1.0]], after=[[3.0, 1.0]], teacher=[[1.0, 2.0]])],
        models={"teacher": "hub:a/teacher", "student": "hub:a/student"},
    )
    report = build({"embedding": track}, *SETTINGS, [("params", "seed: 7\n")])
    assert report.cost["embedding"]["student"] == {"parameters": 10_000_000, "bytes": 40_000_000}
    assert report.comparison["embedding"]["domains"]["in_domain"]["own-set"]["map"]["change"]["mean"] == 0
    assert report.comparison["embedding"]["cut"] == [
        {"model": "student", "dataset": "own-set", "split": "dev", "what": "documents", **CUT["dev"]["documents"]},
        {"model": "student", "dataset": "own-set", "split": "test", "what": "documents", **DOCUMENTS},
    ]
    assert report.page.count("<svg") == 3 + 3  # change, size, training; queries' changes, agreement and scores
    assert "seed: 7" in report.page
    assert report.page.split("Ablations: parts, embedding")[1].index("KL") < report.page.index("Run at abc.")
    assert "| embedding | own-set, in-domain | 0.6543 | 75.0 % | 60.0 % | 12.5 % |" in report.table
    assert "75.0 %" in report.page
    assert report.cost["embedding"]["scoring"] == {"plain 1.0": {"prompts": 2400, "tokens": 68000, "seconds": 61.0}}
    assert "| embedding | teacher's scores, plain 1.0 | 2,400 | 68,000 | 61 s |" in report.table
    assert "own-set" in report.table


def test_a_missing_labels_only_student_is_noted_and_a_present_one_is_shown():
    assert any("No labels-only student" in note for note in notes(comparison(0.55), cost()))
    shown = comparison(0.55, labels_only=0.52)
    assert not any("No labels-only student" in note for note in notes(shown, cost()))
    means = tables(markdown(shown, cost()))[1]
    assert means[0][-1] == "labels only"
    assert means[2][-1] == "0.5200"


@pytest.mark.parametrize(
    "shown, expected",
    [
        (signed(0.12345), "+0.1235"),
        (signed(-0.5), "-0.5000"),
        (signed(0.0), "+0.0000"),
        (percent(None), "–"),
        (percent(0.256), "25.6 %"),
        (percent(0.256, plus=True), "+25.6 %"),
        (percent(0.95, digits=0), "95 %"),
        (p_value(0.0002, 9999), "≤ 0.0002"),  # the smallest that so many resamples can tell
        (p_value(0.0004, 9999), "0.0004"),
        (p_value(1.0, 99), "1.0000"),
        (p_value(0.0024, 9999, 12), "≤ 0.0024"),  # adjusted for twelve tests
        (p_value(0.0026, 9999, 12), "0.0026"),
        (p_value(1.0, 99, 100), "1.0000"),  # so many that nothing can be told
        (shared({"texts": 9, "exact": 1, "folded": 2, "near": 3}), "1 / 2 / 3 of 9"),
        (shared(None), "–"),
        (spread({"median": 2.25, "low": 2.0, "high": 2.5}, 1), "2.2 (2.0 … 2.5)"),
        (spread(None), "–"),
    ],
)
def test_figures_are_shown_as_agreed(shown, expected):
    assert shown == expected
