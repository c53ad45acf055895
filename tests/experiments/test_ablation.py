"""The grid of ablations is checked before it is run, and its tables are the statistics of what came out."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from decant.errors import DecantError
from decant.evaluate.metrics import METRICS, Metric
from decant.experiments.grids import changed, digest, read_grid
from decant.experiments.results import (
    Queries,
    Result,
    current,
    put_result,
    read_queries,
    read_results,
    split_digest,
    write_queries,
    write_results,
)
from decant.experiments.tables import between_marks, render, tabulate
from decant.params import read_yaml
from decant.report.seeds import aggregate, ratio, seed_difference
from decant.report.settings import ReportSettings
from decant.report.statistics import holm
from decant.train.settings import Train
from tests.support.project import ROOT

PARAMS = read_yaml((ROOT / "params.yaml").read_text(), "params.yaml")
PARAMS["train"]["epochs"] = 1
SETTINGS = ReportSettings(resamples=199, confidence=0.95), 0  # and the seed
GRID: dict[str, Any] = {
    "seeds": [0, 1],
    "base": {"datasets.icd10.train": 100},
    "cells": {
        "kind": {"track": "embedding", "says": "another kind", "set": {"embedding.loss.label_weight": 0.77}},
        "whole": {"track": "embedding", "says": "all of it", "set": {}},
        "rate": {"track": "embedding", "says": "a lower rate", "set": {"train.epochs": 0.5}},
    },
}


def write(path: Path, edit: Callable[[dict], object] = dict) -> Path:
    grid = deepcopy(GRID)
    edit(grid)
    YAML().dump(grid, path / "grid.yaml")
    return path / "grid.yaml"


@pytest.mark.parametrize(
    "edit, fault",
    [
        # keys that the schema does not have would fail one experiment after the other
        (lambda grid: grid["base"].update({"train.rl": 1.0}), "kind:\n  train.rl: unknown key"),
        (
            lambda grid: grid["cells"]["kind"]["set"].update({"seed.x": 1}),
            "kind: seed.x: seed is no block of params.yaml",
        ),
        # values that the schema refuses would fail every experiment of the cell
        (lambda grid: grid["cells"]["rate"]["set"].update({"train.epochs": -1}), "rate:\n  train.epochs: found -1"),
        # a cell that is the recipe itself would be shown as a difference of nothing
        (
            lambda grid: grid["cells"]["rate"].update(set={"train.epochs": 1}),
            "rate sets what whole has already",
        ),
        # of the other track: the cell would be shown as what it is not
        (
            lambda grid: grid["cells"]["kind"]["set"].update({"reranker.train.max_loss": 0.5}),
            "kind sets reranker.train.max_loss, which changes nothing of the embedding track",
        ),
        (lambda grid: grid["cells"].pop("whole"), "needs one cell that is its whole recipe"),
        (lambda grid: grid["cells"]["kind"].update(set={}), "needs one cell that is its whole recipe"),
        (lambda grid: grid["cells"]["kind"].update(says="a | b"), "cells.kind.says"),  # would break the table
        (lambda grid: grid["cells"].update({"a b": grid["cells"].pop("kind")}), "cells.a b"),  # no experiment's name
        (lambda grid: grid["cells"]["kind"].pop("track"), "cells.kind.track"),
        (
            lambda grid: grid["cells"]["kind"].update(track="embeding"),
            "cells.kind.track is embeding, which is no track",
        ),
        (lambda grid: grid.update(seeds=[]), "seeds"),
        (lambda grid: grid.update(seeds=[1, 1]), "seeds"),
        (lambda grid: grid["base"].update(seed=3), "seed"),  # the grid's own
    ],
)
def test_a_grid_with_a_fault_is_told_before_anything_runs(
    edit: Callable[[dict], object], fault: str, tmp_path: Path
) -> None:
    with pytest.raises(DecantError) as caught:
        read_grid(write(tmp_path, edit), PARAMS)
    assert fault in caught.value.problem
    assert "grid.yaml" in caught.value.problem


def test_a_cell_may_set_otherwise_what_all_cells_set(tmp_path: Path) -> None:
    """Even to the value of params.yaml, which without both would have changed nothing."""

    def edit(grid: dict) -> None:
        grid["base"]["embedding.train.epochs"] = 2
        grid["cells"]["rate"]["set"] = {"embedding.train.epochs": 1}

    _, digests = read_grid(write(tmp_path, edit), PARAMS)
    assert digests["rate"] != digests["whole"]


def test_a_missing_grid_is_told(tmp_path: Path) -> None:
    with pytest.raises(DecantError, match="there is no such file"):
        read_grid(tmp_path / "none.yaml", PARAMS)


def test_the_digest_is_of_what_decides_the_tracks_figures() -> None:
    def of(track: str = "embedding", **overrides: Any) -> str:
        return digest(changed(PARAMS, {key.replace("__", "."): value for key, value in overrides.items()}, ""), track)

    first = of()
    same = [
        of(seed=5),
        of(report__resamples=500),
        of(baselines__bm25=not PARAMS["baselines"]["bm25"]),
        of(reranker__loss__label_weight=0.77),
        of(evaluate__batch_tokens=777),
        of(embedding__train__epochs=PARAMS["train"]["epochs"]),  # what was inherited is now written
        of(datasets__pydocs__train=77, datasets__pydocs__dev=77, datasets__cwe__test=77),  # which the track never reads
    ]
    assert set(same) == {first}
    assert of("reranker", embedding__teacher__embeddings_dtype="float16") == of("reranker")
    other = [
        of("reranker"),
        of(embedding__loss__label_weight=0.77),
        of(train__epochs=0.5),
        of(embedding__train__epochs=0.5),
        *(of(**{f"datasets__icd10__{split}": 77}) for split in ("train", "dev", "test")),
        *(of(**{f"datasets__cwe__{split}": 77}) for split in ("train", "dev")),
        of(datasets__pydocs__test=77),
        of(embedding__teacher__embeddings_dtype="float16"),  # what embed_distill trains on
    ]
    assert len({first, *other}) == 1 + len(other) - 1  # the two ways to set epochs are one
    assert other[2] == other[3]


def test_a_key_that_is_new_and_null_changes_no_digest() -> None:
    class LaterTrain(Train):
        later: int | None = None

    params = changed(PARAMS, {}, "")
    block = params.track("embedding")

    class LaterTrack(type(block)):  # type: ignore[misc]
        train: LaterTrain

    for value, same in ((None, True), (3, False)):
        train = LaterTrain(**block.train.model_dump(), later=value)
        later = params.model_copy(update={"embedding": LaterTrack(**{**dict(block), "train": train})})
        assert (digest(later, "embedding") == digest(params, "embedding")) is same


def test_a_grid_may_set_a_key_that_params_leave_to_its_default(tmp_path: Path) -> None:
    def edit(grid: dict) -> None:
        grid["cells"]["rate"]["set"] = {"embedding.train.warmup": 0.3, "evaluate.batch_tokens": 888}

    assert "warmup" not in PARAMS["embedding"]["train"]
    assert "evaluate" not in PARAMS
    with pytest.raises(DecantError, match=r"rate sets evaluate\.batch_tokens, which changes nothing"):
        read_grid(write(tmp_path, edit), PARAMS)
    params = changed(PARAMS, {"embedding.train.warmup": 0.3, "evaluate.batch_tokens": 888}, "")
    assert (params.track("embedding").train.warmup, params.evaluate.batch_tokens) == (0.3, 888)


def result(cell: str, seed: int, digests: Mapping[str, str], **values: Any) -> Result:
    metrics = {"in_domain": {"map": 0.5, "mrr@10": 0.25, "ndcg@10": 0.125}}
    given = {"track": "embedding", "digest": digests[cell], "revision": "abc", "metrics": metrics, "seconds": 10.0}
    return Result(cell, seed, **{**given, **values})


def test_results_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    digests = {"whole": "a", "kind": "b"}
    failed = result("kind", 1, digests, metrics={}, seconds=None, fault='train@x: "no", it said')
    kept = [result("whole", 0, digests), failed]
    write_results(tmp_path / "results.csv", kept)
    assert read_results(tmp_path / "results.csv") == kept
    assert read_results(tmp_path / "none.csv") == []
    again = replace(failed, fault="", seconds=3.0)
    assert put_result(put_result(kept, again), result("kind", 0, digests)) == [
        kept[0],
        again,
        result("kind", 0, digests),
    ]
    (tmp_path / "results.csv").write_text("cell,seed\nx,1\n")
    with pytest.raises(DecantError, match="it has no column digest, fault"):
        read_results(tmp_path / "results.csv")


def test_results_of_before_a_metric_was_added_can_still_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [result("whole", 0, {"whole": "a"})]
    write_results(tmp_path / "results.csv", kept)
    monkeypatch.setitem(METRICS, "precision@1", Metric("nowhere", "P@1"))
    assert read_results(tmp_path / "results.csv") == kept
    write_results(tmp_path / "results.csv", kept)
    assert "in_domain.precision@1" in (tmp_path / "results.csv").read_text().splitlines()[0]
    assert read_results(tmp_path / "results.csv") == kept


def test_values_of_queries_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    queries = {
        "in_domain": Queries("s1", np.array([0.1, 1 / 3]), np.array([0.0, 0.7])),
        "out_of_domain": Queries("s2", np.array([1.0]), np.array([0.4])),
    }
    write_queries(tmp_path / "q.parquet", queries)
    found = read_queries(tmp_path / "q.parquet")
    assert {name: (one.split, one.values.tolist(), one.teacher.tolist()) for name, one in found.items()} == {
        "in_domain": ("s1", [0.1, 1 / 3], [0.0, 0.7]),
        "out_of_domain": ("s2", [1.0], [0.4]),
    }
    with pytest.raises(DecantError, match="there is no such file"):
        read_queries(tmp_path / "none.parquet")
    assert split_digest(["a"], [[1, 0]]) != split_digest(["a"], [[0, 1]])


class Made:
    """Results by hand: `whole` and `kind` with two seeds each, on 40 in-domain and 30 out-of-domain queries."""

    def __init__(self, folder: Path) -> None:
        self.grid, self.digests = read_grid(write(folder), PARAMS)
        draw = np.random.default_rng(0)
        lift = {"whole": 0.5, "kind": 0.4}
        teacher = {"in_domain": draw.uniform(0.4, 0.7, 40), "out_of_domain": draw.uniform(0.6, 0.9, 30)}
        self.values = {
            (cell, seed): {
                "in_domain": Queries("s1", np.clip(draw.normal(mean, 0.1, 40), 0, 1), teacher["in_domain"]),
                "out_of_domain": Queries("s2", np.clip(draw.normal(0.7, 0.1, 30), 0, 1), teacher["out_of_domain"]),
            }
            for cell, mean in lift.items()
            for seed in (0, 1)
        }
        self.results = [result(cell, seed, self.digests, seconds=10.0 + 4 * seed) for cell in lift for seed in (0, 1)]

    def render(self) -> dict[str, list[str]]:
        """The rows of the table, by cell."""
        self.page = render(
            tabulate(self.grid, self.results, self.digests, lambda one: self.values[one.cell, one.seed], *SETTINGS)
        )
        rows = [line.strip("| ").split(" | ") for line in self.page.splitlines() if line.startswith("|")]
        return {row[0]: row[1:] for row in rows[2:]}

    def stacked(self, cell: str, domain: str) -> np.ndarray:
        return np.stack([self.values[cell, seed][domain].values for seed in (0, 1)])


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_the_figures_are_those_of_the_statistics(made: Made) -> None:
    for seed in (0, 1):  # a difference so small that its p-value is not the least there is
        one = made.values["kind", seed]["in_domain"]
        made.values["kind", seed]["in_domain"] = replace(one, values=one.values + 0.07)
    rows = made.render()
    assert list(rows) == ["whole", "kind", "rate"]  # the whole recipe first
    differences = []
    for place, domain in enumerate(("in_domain", "out_of_domain")):
        whole, kind = (made.stacked(cell, domain) for cell in ("whole", "kind"))
        for cell, values in (("whole", whole), ("kind", kind)):
            one = aggregate(values, *SETTINGS)
            assert rows[cell][2 + 2 * place] == f"{one.mean:.4f} ({one.low:.4f} … {one.high:.4f})"
            teacher = made.values[cell, 0][domain].teacher
            times = ratio(values, teacher, *SETTINGS)
            assert rows[cell][3 + 2 * place] == f"{times.mean:.3f} ({times.low:.3f} … {times.high:.3f})"
        difference = seed_difference(kind, whole, *SETTINGS)
        differences.append(difference)
        shown = f"{difference.mean:+.4f} ({difference.low:+.4f} … {difference.high:+.4f})"
        assert rows["kind"][6 + 2 * place] == shown
        assert rows["whole"][6 + 2 * place] == "–"
    adjusted = holm([difference.p_value for difference in differences])
    assert [rows["kind"][7], rows["kind"][9]] == [f"{one:.4f}" for one in adjusted]
    assert min(adjusted) == 2 * min(difference.p_value for difference in differences) > 0.02
    assert rows["kind"][1] == "2"
    assert rows["kind"][10] == "12 s"
    assert "p (Holm) is adjusted for the 2 differences of this table; intervals are not." in made.page


def test_what_was_not_run_or_failed_or_changed_shows_as_such(made: Made) -> None:
    made.results[3] = replace(made.results[3], metrics={}, seconds=None, fault="train@embedding: the loss is nan")
    rows = made.render()
    assert rows["rate"][1:] == ["0 of 2, 2 not run", *["–"] * 9]
    assert rows["kind"][1] == "1 of 2, 1 failed"
    assert rows["kind"][10] == "10 s"
    assert "- kind, seed 1 failed: train@embedding: the loss is nan" in made.page
    assert "its interval is over queries alone" in made.page
    one = made.values["kind", 0]["in_domain"].values - made.values["whole", 0]["in_domain"].values
    assert rows["kind"][6].startswith(f"{one.mean():+.4f} ")  # paired with the same seed alone
    made.results[2] = replace(made.results[2], digest="of other params")
    assert made.render()["kind"][1:4] == ["0 of 2, 1 failed, 1 not run", "–", "–"]
    assert set(current(made.grid, made.results, made.digests)) == {("whole", 0), ("whole", 1), ("kind", 1)}


def test_a_difference_of_fewer_seeds_than_its_row_says_so(made: Made) -> None:
    made.results[1] = replace(made.results[1], metrics={}, seconds=None, fault="x")
    rows = made.render()
    assert rows["kind"][1] == "2"
    assert rows["kind"][6].endswith("), 1 of its seeds")
    assert rows["kind"][8].endswith("), 1 of its seeds")
    assert "its interval is over queries alone" in made.page


def test_without_the_whole_recipe_nothing_is_compared(made: Made) -> None:
    made.results = made.results[2:]
    rows = made.render()
    assert rows["kind"][2] != "–"
    assert rows["kind"][6:10] == ["–"] * 4


def test_other_test_splits_are_never_paired(made: Made) -> None:
    for seed in (0, 1):
        made.values["kind", seed]["in_domain"] = replace(made.values["kind", seed]["in_domain"], split="other")
    rows = made.render()
    assert rows["kind"][2] != "–"
    assert rows["kind"][6:8] == ["–", "–"]
    assert rows["kind"][8] != "–"
    made.values["kind", 0]["in_domain"] = made.values["whole", 0]["in_domain"]
    with pytest.raises(DecantError, match="kind: its seeds were tested on different in-domain test splits"):
        made.render()


def test_a_track_without_an_out_of_domain_set_has_dashes(made: Made) -> None:
    for queries in made.values.values():
        del queries["out_of_domain"]
    rows = made.render()
    assert rows["kind"][4:6] == ["–", "–"]
    assert rows["kind"][8:10] == ["–", "–"]
    assert rows["kind"][7] == "≤ 0.0100"  # adjusted for one difference alone


def test_a_page_without_its_marks_is_told() -> None:
    page = (ROOT / "docs/ablations.md").read_text()
    assert "\nnew tables\n" in between_marks(page, "new tables", "parts", "page")
    with pytest.raises(DecantError, match="are not both there"):
        between_marks(page.replace("<!-- end of parts -->", ""), "x", "parts", "page")
