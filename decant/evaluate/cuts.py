"""Count the texts of test splits that a model cuts."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from decant import paths
from decant.data.pairs import stream_pairs
from decant.data.sets import read_task
from decant.models.cuts import described
from decant.models.scorer import CountingScorer

# Data set, or the set of a union → `test` → what `decant.models.kind.ModelKind.count_cut` returns.
Cuts: TypeAlias = dict[str, dict[str, dict[str, Any]]]


def count_cuts(scorer: CountingScorer, datasets: Iterable[str], tell: Callable[[str], object]) -> Cuts:
    """What a scorer cuts of the test splits of some data sets; tells of each of which it cuts any."""
    cut: Cuts = {}
    for dataset in datasets:
        path = paths.split(dataset, "test")
        task = read_task(path)
        for name, of_set in (task.sets or {"": task}).items():
            counts = scorer.count_cut(stream_pairs(path, name), of_set)
            cut[name or dataset] = {"test": counts}
            if found := described(counts):
                tell(f"of {name or dataset}, test, {found} are longer than the student reads, and are cut")
    return cut
