"""How many labelled queries are needed: students trained on growing shares of the train split, through DVC's queue."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import t

from decant import paths
from decant.errors import DecantError
from decant.evaluate.run import DOMAINS
from decant.experiments.ablations import Ablations, Job
from decant.experiments.grids import Cell, Grid, changed, digest
from decant.experiments.results import read_queries, read_results
from decant.files import write_json
from decant.report.seeds import aggregate

CURVE = "curve.json"
LAST = 3  # sizes whose trend says what the next doubling brings


def doublings(most: int, first: int = 100) -> list[int]:
    """The sizes 100, 200, 400, … and `most`, which is at least 1.5 times the one before it."""
    return [*(first * 2**power for power in range(32) if first * 2**power * 1.5 <= most), most]


class LearningCurve(Ablations):
    """The cells of a curve, a size each, with every seed; see `Ablations`.

    Args:
        track: whose student is trained.
        sizes: train queries.
        seeds: of training, and of which queries are drawn.
        labels_only: whether students are trained on labels alone too.
        jobs: experiments at a time.
        tell: takes each line of progress.

    Raises:
        DecantError: the params are impossible, or do not go with students that are trained on labels alone.
    """

    def __init__(
        self,
        track: str,
        sizes: Sequence[int],
        seeds: Sequence[int],
        labels_only: bool,
        jobs: int,
        tell: Callable[[str], None],
    ) -> None:
        self.track, self._sizes, self._seeds = track, sizes, seeds
        self.models = ("after", "labels_only") if labels_only else ("after",)
        super().__init__(f"curve-{track}", jobs, tell)

    def make_grid(self, content: Mapping[str, Any]) -> tuple[Grid, dict[str, str]]:
        """See `Ablations.make_grid`."""
        block = self.params.track(self.track)
        keys = [f"{self.track}.triplets.queries"]
        if block.adapt is not None:  # its labels teach the student too
            keys.append(f"{self.track}.adapt.triplets.queries")
        sizes = {f"n{size}": size for size in sorted({*self._sizes})}
        grid = Grid(
            seeds=list(self._seeds),
            base={"baselines.labels_only": len(self.models) > 1},
            cells={
                name: Cell(track=self.track, says=f"{size} queries", set=dict.fromkeys(keys, size))
                for name, size in sizes.items()
            },
        )
        try:
            made = {name: changed(content, grid.overrides(name, 0), f"{self.name}, {name}") for name in grid.cells}
        except DecantError as error:
            if len(self.models) == 1:
                raise
            raise DecantError(error.problem, "or leave students of labels alone out: --no-labels-only") from error
        return grid, {name: digest(params, self.track) for name, params in made.items()}

    def show(self) -> None:
        """Write plots/<track>/curve.json: the points, and what another doubling is expected to bring."""
        points, doubling = [], dict[str, dict[str, Any]]()
        for model in self.models:
            for domain in DOMAINS:
                values = self._values(model, domain)
                for size, of_size in values.items():
                    mean = aggregate(of_size, self.params.report, self.params.seed)
                    point = {"queries": size, "model": model, "domain": domain, "seeds": mean.seeds}
                    figures = {name: round(getattr(mean, name), 6) for name in ("mean", "low", "high")}
                    points.append({**point, **figures})
                means = {size: of_size.mean(axis=1) for size, of_size in values.items()}
                if (expected := next_doubling(means, self.params.report.confidence)) is not None:
                    doubling.setdefault(model, {})[domain] = expected
        if not points:
            return
        path = paths.PLOTS / self.track / CURVE
        write_json(path, {"points": points, "doubling": doubling})
        self.tell(f"{path} is written; `dvc repro report` shows it")

    def _values(self, model: str, domain: str) -> dict[int, Any]:
        """Size → average precision, shape (seeds, queries), of the sizes of which every seed has run."""
        results = {(result.cell, result.seed): result for result in read_results(self.results) if not result.fault}
        values = {}
        for cell, of_cell in self.grid.cells.items():
            name = self.named(cell, model)
            ran = [results.get((name, seed)) for seed in self.grid.seeds]
            if all(result is not None and result.digest == self.digests[cell] for result in ran):
                read = [read_queries(self.queries(Job(name, seed))) for seed in self._seeds]
                if len({queries[domain].split for queries in read if domain in queries}) > 1:
                    raise DecantError(
                        f"{self.results}: {name} was tested on different {domain.replace('_', '-')} test splits",
                        "remove its rows, or the file, and run this again",
                    )
                if all(domain in queries for queries in read):
                    size = next(iter(of_cell.set.values()))
                    values[int(size)] = np.stack([queries[domain].values for queries in read])
        return values


def next_doubling(means: Mapping[int, Any], confidence: float) -> dict[str, float | None] | None:
    """What twice as many queries are expected to bring, where the trend of the last sizes goes on.

    Args:
        means: size → mean of the metric for each seed, shape (seeds,).
        confidence: of the interval.

    Returns:
        `mean`, the slope over log2 of the last `LAST` sizes, by least squares; `low` and `high`, its interval over
        seeds (Student's t), null of one seed. None where there are fewer sizes.
    """
    sizes = sorted(means)[-LAST:]
    if len(sizes) < LAST:
        return None
    slopes = np.polyfit(np.log2(sizes), np.stack([means[size] for size in sizes]), 1)[0]
    mean, seeds = float(slopes.mean()), len(slopes)
    if seeds == 1:
        return {"mean": round(mean, 6), "low": None, "high": None}
    half = float(t.ppf(0.5 + confidence / 2, seeds - 1) * slopes.std(ddof=1) / np.sqrt(seeds))
    return {"mean": round(mean, 6), "low": round(mean - half, 6), "high": round(mean + half, 6)}
