"""The notes beside the tables: losses told as plainly as gains, and nothing claimed that was not shown."""

import re

import numpy as np
import pytest

from decant.report.comparison import compare
from decant.report.notes import notes
from decant.report.table import markdown
from tests.support.compared import CURVE, SETTINGS, comparison, cost, models, tables, whole


@pytest.mark.parametrize("name, words", [("bm25", "BM25"), ("baseline", "the untouched model")])
@pytest.mark.parametrize("after, below", [(0.45, True), (0.55, False), (0.5, False)])
def test_a_student_below_a_free_baseline_is_told_with_its_significance(name, words, after, below):
    told = f"embedding, in-domain (own-set): the student stays 0.0500 MAP below {words}, which is free"
    found = notes(comparison(after, **{name: 0.5}), cost())
    assert (f"{told} (significant, p ≤ 0.0020)." in found) == below
    assert any("which is free" in note for note in found) == below


def test_a_labels_only_student_is_no_free_baseline():
    assert not any("which is free" in note for note in notes(comparison(0.45, labels_only=0.5), cost()))


def test_what_fetch_left_out_is_told_by_its_kind():
    counts = {"faults": {"both_lists": 2}, "rows_left_out": 1, "texts_left_out": 2, "not_judged": {"no text": 3}}
    entry = compare(models(before=0.5, after=0.55, teacher=0.6), *SETTINGS)
    compared = whole(entry)
    compared["embedding"]["left_out"] = {"own-set": {"test": counts}}
    found = notes(compared, cost())
    told = "embedding: of own-set, test, 1 rows and 2 candidates are left out (both lists: 2, no text: 3)."
    assert told in found
    assert not any("left out" in note for note in notes(whole(entry), cost()))


@pytest.mark.parametrize("share, noted", [(0.0101, True), (0.01, False)])
def test_a_model_that_cuts_more_than_a_hundredth_of_a_splits_texts_is_noted(share, noted):
    compared = whole(compare(models(before=0.5, after=0.55, teacher=0.6), *SETTINGS))
    count = {"distinct": 9999, "cut": 101, "share": share}
    compared["embedding"]["cut"] = [
        {"model": "student", "dataset": "own", "split": "dev", "what": "documents", **count}
    ]
    told = "embedding: the student cuts 1.0 % of the 9999 distinct documents of own, dev: they are longer than"
    assert any(note.startswith(told) for note in notes(compared, cost())) == noted


@pytest.mark.parametrize(
    "teacher, student, told",
    [
        (True, False, "is the teacher too."),
        (False, True, "is what the student is made of."),
        (True, True, "is the teacher too and what the student is made of."),
        (False, False, None),
    ],
)
def test_an_untouched_model_that_is_teacher_or_student_is_told(teacher, student, told):
    entry = compare(models(before=0.5, after=0.55, teacher=0.6, baseline=0.6), *SETTINGS)
    made = whole(entry, baseline={"model": "package:a/b", "is_teacher": teacher, "is_student": student})
    found = [note for note in notes(made, cost()) if "package:a/b" in note]
    assert found == ([f"embedding: the untouched model (package:a/b) {told}"] if told else [])


def test_the_report_claims_nothing_of_the_method():
    assert any("of this checkpoint, one seed" in note for note in notes(comparison(0.55), cost()))


@pytest.mark.parametrize("after, fell", [(0.45, True), (0.55, False), (0.5, False)])
def test_a_loss_is_noted_and_nothing_else_is(after, fell):
    text = markdown(comparison(after), cost())
    assert ("- embedding, in-domain (own-set): MAP fell by 0.0500 (significant, p (Holm) ≤ 0.0060)." in text) == fell
    assert ("MAP fell" in text) == fell


def test_a_loss_that_chance_explains_is_not_called_significant():
    made = models(before=0.5, after=0.5, teacher=0.6)
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, 40)
    made["after"]["map"] = made["before"]["map"] + noise - noise.mean() - 0.001
    text = "\n".join(notes(whole(compare(made, *SETTINGS)), cost()))
    assert re.search(r"MAP fell by 0\.0010 \(not significant, p \(Holm\) [01]\.", text)


def test_a_student_below_its_teacher_is_noted():
    below = "embedding, in-domain (own-set): the student stays 0.0500 MAP below its teacher (significant, p ≤ 0.0020)."
    assert below in notes(comparison(0.55), cost())
    assert not any("below its teacher" in note for note in notes(comparison(0.65), cost()))


def test_an_untouched_model_that_is_the_teacher_is_told_of_once():
    entry = compare(models(before=0.5, after=0.55, teacher=0.6, baseline=0.6), *SETTINGS)
    made = whole(entry, baseline={"model": "package:a/b", "is_teacher": True, "is_student": False})
    found = [note for note in notes(made, cost()) if "0.0500 MAP below" in note]
    assert found == [
        "embedding, in-domain (own-set): the student stays 0.0500 MAP below its teacher, which is the untouched "
        "model (significant, p ≤ 0.0020)."
    ]


@pytest.mark.parametrize(
    "domain, after, told",
    [
        ("out_of_domain", 0.47, True),
        ("out_of_domain", 0.49, False),  # within what is allowed
        ("in_domain", 0.47, False),  # of another set nothing is said
    ],
)
def test_a_loss_out_of_domain_beyond_what_is_allowed_is_told(domain, after, told):
    made = whole(compare(models(before=0.5, after=after, teacher=0.6), *SETTINGS), domain=domain)
    said = "embedding, out-of-domain (own-set): that is more than the 0.02 that train.max_loss allows on the guard set."
    found = notes(made, cost())
    assert (said in found) == told
    if told:
        assert "MAP fell by" in " ".join(found[: found.index(said)])


@pytest.mark.parametrize(
    ("alpha", "place"),
    [(0.5, "between those before and after training (α = 0.5)"), (1.0, "those after training (α = 1)")],
)
def test_the_point_between_before_and_after_is_told_where_there_is_a_guard_set(alpha, place):
    entry = compare(models(before=0.5, after=0.55, teacher=0.6), *SETTINGS)
    found = [note for note in notes(whole(entry, curve=CURVE, alpha=alpha), cost()) if "the kept weights are" in note]
    assert [place in note for note in found] == [True]
    assert alpha == 1 or found[0].endswith("third 0.8000 → 0.7900.")
    assert not any("the kept weights" in note for note in notes(whole(entry), cost()))


@pytest.mark.parametrize("fresh", [True, False])
def test_an_untrained_start_is_noted(fresh):
    found = notes(comparison(0.55, fresh_head=fresh), cost())
    assert any("`before` is an untrained head" in note for note in found) == fresh


@pytest.mark.parametrize(
    "ratio, told",
    [
        (3.0, "faster than its teacher, at 3.00 (2.70 … 3.30) times its speed, timed in turns in 5 rounds"),
        (0.5, "slower than its teacher, at 0.50 (0.45 … 0.55) times its speed, timed in turns in 5 rounds"),
    ],
)
def test_a_student_slower_than_its_teacher_is_called_slower(ratio, told):
    assert any(note.endswith(f"{told}, with 25 % of its parameters.") for note in notes(comparison(0.55), cost(ratio)))
    assert tables(markdown(comparison(0.55), cost(ratio)))[3][2][-1] == "100 (90 … 110)"


def test_significance_is_that_of_the_adjusted_p_value_at_the_reports_confidence():
    made = comparison(0.45, bm25=0.5)
    (entry,) = made["embedding"]["domains"]["in_domain"].values()
    entry["map"]["change"].update(p_value=0.03, p_holm=0.09)
    entry["map"]["over_bm25"].update(p_value=0.03)  # no table adjusts it
    told = "\n".join(notes(made, cost()))
    assert "MAP fell by 0.0500 (not significant, p (Holm) 0.0900)" in told
    assert "which is free (significant, p 0.0300)" in told
    made["embedding"]["confidence"] = 0.9
    assert "MAP fell by 0.0500 (significant, p (Holm) 0.0900)" in "\n".join(notes(made, cost()))
    made["embedding"]["confidence"] = 0.98
    assert "which is free (not significant, p 0.0300)" in "\n".join(notes(made, cost()))
