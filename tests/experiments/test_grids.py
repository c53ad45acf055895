"""The committed grids are sound, agree with params.yaml and presets, and their page shows the committed results."""

import pytest
from ruamel.yaml import YAML

from decant.experiments.grids import changed, read_grid
from decant.experiments.results import read_queries, read_results
from decant.experiments.tables import between_marks, render
from decant.params import load_params
from decant.report.comparison import TestSettings as Settings
from decant.train.trainer import TrainSettings
from tests.support.project import ROOT

COMMITTED = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
GRIDS = sorted(path.stem for path in (ROOT / "ablations").glob("*.yaml"))


@pytest.mark.parametrize("name", GRIDS)
def test_the_committed_grids_are_sound_and_their_page_shows_the_committed_results(name: str) -> None:
    grid, digests = read_grid(ROOT / f"ablations/{name}.yaml", COMMITTED)
    assert len(grid.seeds) >= 3
    params = load_params(ROOT / "params.yaml")
    tables = render(
        grid,
        read_results(ROOT / f"ablations/{name}.csv"),
        digests,
        lambda result: read_queries(ROOT / f"ablations/queries/{name}/{result.cell}-{result.seed}.parquet"),
        Settings(**params.report.model_dump(), seed=params.seed),
    )
    page = (ROOT / "docs/ablations.md").read_text()
    assert between_marks(page, tables, name, "page") == page


def test_the_thorough_grid_is_the_thorough_preset() -> None:
    grid, _ = read_grid(ROOT / "ablations/thorough.yaml", COMMITTED)
    assert changed(COMMITTED, grid.base, "base") == load_params(ROOT / "presets/thorough.yaml")


def test_the_published_recipe_is_held_against_the_parts_whole_recipe() -> None:
    (parts, digests), (published, others) = (
        read_grid(ROOT / f"ablations/{name}.yaml", COMMITTED) for name in ("parts", "published")
    )
    assert (published.base, published.seeds) == (parts.base, parts.seeds)
    for whole in ("embedding-full", "reranker-full"):
        assert others[whole] == digests[whole]


@pytest.mark.parametrize("track", ["embedding", "reranker"])
@pytest.mark.parametrize("name", sorted({*GRIDS} - {"published"}))
def test_labels_alone_take_as_many_steps_as_the_whole_recipe(name: str, track: str) -> None:
    grid, _ = read_grid(ROOT / f"ablations/{name}.yaml", COMMITTED)

    def steps(cell: str) -> int:
        params = changed(COMMITTED, grid.overrides(f"{track}-{cell}", 0), name)
        block = params.track(track)
        queries = params.datasets[block.in_domain].train
        assert queries is not None
        most = params.datasets[block.guard.dataset].train if block.guard.replay else 0
        tuples = queries + min(round(block.guard.replay * queries), most)  # one a query: no row of these is left out
        return TrainSettings(**params.training(track).model_dump(), seed=0).steps(tuples)

    assert steps("labels-alone") == steps("full")
