"""How often a 95 % interval of a mean over seeds and queries holds the true mean.

    python -m benchmarks.coverage [--simulations 1000]

Simulated values of 3 seeds, or as many as a row says, on the same 300 queries: a share of the seed, a heavy-tailed one
of the query (standard deviation 0.21) and a remainder (0.10), with a true mean of 0. Baseline: a bootstrap over queries
alone, for which the seeds' share does not exist.
"""

import argparse

import numpy as np

from decant.report.figures import percent
from decant.report.seeds import aggregate
from decant.report.settings import ReportSettings
from decant.report.statistics import mean_interval

QUERIES = 300
SETTINGS = ReportSettings(resamples=999, confidence=0.95)
ROWS = ((0.0, 3), (0.01, 2), (0.01, 3), (0.03, 2), (0.03, 3), (0.03, 5))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    count = parser.parse_args().simulations
    print(
        "| standard deviation of seeds | seeds | this interval | bootstrap over queries alone |\n" + "| --- " * 4 + "|"
    )
    for of_seed, seeds in ROWS:
        rng = np.random.default_rng(0)
        held = np.zeros(2)
        for number in range(count):
            values = (
                of_seed * rng.normal(size=(seeds, 1))
                + 0.15 * rng.standard_t(4, size=(1, QUERIES))
                + 0.1 * rng.normal(size=(seeds, QUERIES))
            )
            one = aggregate(values, SETTINGS, number)
            low, high = mean_interval(values.mean(axis=0), SETTINGS, number)
            held += (one.low <= 0 <= one.high), (low <= 0 <= high)
        ours, alone = (percent(share, digits=0) for share in held / count)
        print(f"| {of_seed:g} | {seeds} | {ours} | {alone} |", flush=True)


if __name__ == "__main__":
    main()
