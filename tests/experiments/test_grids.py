"""The committed grids are sound, agree with params.yaml and presets, and their page shows the committed results."""

import pytest

from decant.experiments.grids import changed, digest, read_grid
from decant.experiments.results import read_queries, read_results
from decant.experiments.tables import between_marks, render, tabulate
from decant.params import load_params, read_yaml
from tests.support.project import ROOT

COMMITTED = read_yaml((ROOT / "params.yaml").read_text(), "params.yaml")
GRIDS = sorted(path.stem for path in (ROOT / "ablations").glob("*.yaml"))


@pytest.mark.parametrize("name", GRIDS)
def test_the_committed_grids_are_sound_and_their_page_shows_the_committed_results(name: str) -> None:
    grid, digests = read_grid(ROOT / f"ablations/{name}.yaml", COMMITTED)
    assert len(grid.seeds) >= 3
    params = load_params(ROOT / "params.yaml")
    tables = tabulate(
        grid,
        read_results(ROOT / f"ablations/{name}.csv"),
        digests,
        lambda result: read_queries(ROOT / f"ablations/queries/{name}/{result.cell}-{result.seed}.parquet"),
        params.report,
        params.seed,
    )
    page = (ROOT / "docs/ablations.md").read_text()
    assert between_marks(page, render(tables), name, "page") == page


def test_the_published_recipe_is_held_against_the_parts_whole_recipe() -> None:
    (parts, digests), (published, others) = (
        read_grid(ROOT / f"ablations/{name}.yaml", COMMITTED) for name in ("parts", "published")
    )
    assert (published.base, published.seeds) == (parts.base, parts.seeds)
    for whole in ("embedding-full", "reranker-full"):
        assert others[whole] == digests[whole]


@pytest.mark.parametrize("track", ["embedding", "reranker"])
def test_the_thorough_grids_whole_recipe_is_the_preset(track: str) -> None:
    _, digests = read_grid(ROOT / "ablations/thorough.yaml", COMMITTED)
    assert digests[f"{track}-full"] == digest(load_params(ROOT / "presets/thorough.yaml"), track)


@pytest.mark.parametrize("track", ["embedding", "reranker"])
@pytest.mark.parametrize("name", sorted({*GRIDS} - {"published", "methods", "mining"}))
def test_labels_alone_take_as_many_steps_as_the_whole_recipe(name: str, track: str) -> None:
    grid, _ = read_grid(ROOT / f"ablations/{name}.yaml", COMMITTED)

    def steps(cell: str) -> int:
        params = changed(COMMITTED, grid.overrides(f"{track}-{cell}", 0), name)
        block = params.track(track)
        queries = params.datasets[block.in_domain].train
        most = params.datasets[block.guard].train if block.replay else 0
        tuples = queries + min(round(block.replay * queries), most)  # one a query: no row of these is left out
        return block.train.steps(tuples)

    assert steps("labels-alone") == steps("full")
