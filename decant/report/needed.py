"""How many labelled queries are needed: the figures of `decant curve`."""

from collections.abc import Iterator, Mapping
from typing import Any

from decant.report.comparison import NAMES
from decant.report.figures import signed

MODELS = ("after", "labels_only")
DOMAINS = ("in_domain", "out_of_domain")


def needed_table(comparison: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The headers and the rows of the learning curves, from metrics/comparison.json."""
    rows = []
    for track, block in comparison.items():
        listed = block.get("needed", {}).get("points", ())
        points = {(point["queries"], point["domain"], point["model"]): point for point in listed}
        for queries in sorted({queries for queries, _, _ in points}):
            found = [points.get((queries, domain, model)) for domain in DOMAINS for model in MODELS]
            rows.append([track, f"{queries:,}", *map(_figure, found)])
    headers = [f"{domain.replace('_', '-')} MAP, {NAMES[model]}" for domain in DOMAINS for model in MODELS]
    return ["track", "train queries", *headers], rows


def needed_notes(track: str, needed: Mapping[str, Any]) -> Iterator[str]:
    """What another doubling of the train queries is expected to bring."""
    for domain, expected in needed.get("doubling", {}).get("after", {}).items():
        most = max(point["queries"] for point in needed["points"])
        known = expected["low"] is not None
        sure = f" ({signed(expected['low'])} … {signed(expected['high'])}, over seeds)" if known else ""
        yield (
            f"{track}: if the trend of the last sizes goes on, twice as many train queries as {most:,} bring "
            f"{signed(expected['mean'])} MAP{sure} {domain.replace('_', '-')}."
        )


def _figure(point: Mapping[str, float] | None) -> str:
    return "–" if point is None else f"{point['mean']:.4f} ({point['low']:.4f} … {point['high']:.4f})"
