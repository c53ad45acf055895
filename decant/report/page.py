"""The report as one HTML page that needs nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from decant.evaluate.metrics import METRICS
from decant.report.charts import (
    change_chart,
    guard_chart,
    models_chart,
    needed_chart,
    systems_chart,
    training_chart,
)
from decant.report.comparison import NAMES, changes_shown, compared_sets, overlap_rows, shown_models
from decant.report.corpora import in_domain_gains
from decant.report.explorer import pack
from decant.report.figures import correlation, millions, p_value, percent, shared, signed, spread
from decant.report.further import FURTHER_NOTES, further_tables
from decant.report.notes import notes
from decant.report.ranked import RankedSet, agreement
from decant.report.ranked_charts import agreement_chart, changes_chart, scores_chart
from decant.report.table import SPLIT_PAIRS

Curve = Sequence[Mapping[str, float]]


def render(
    comparison: Mapping[str, Any],
    cost: Mapping[str, Any],
    curves: Mapping[str, Mapping[str, Curve]],
    ranked: Sequence[RankedSet],
    sentences: Mapping[str, Sequence[str]],
    ablations: Mapping[str, Any],
    origin: Sequence[tuple[str, str]],
) -> str:
    """Render the page.

    Args:
        comparison: the content of metrics/comparison.json.
        cost: the content of metrics/cost.json.
        curves: track → `loss` and `dev` → points.
        ranked: the test sets, query by query.
        sentences: track → those with which the page opens.
        ablations: title → `headers`, `rows` and `notes` of a table.
        origin: what `decant.report.provenance.provenance` gives.
    """
    confidence = next(iter(comparison.values()))["confidence"]
    guards = {track: block["guard"] for track, block in comparison.items()}
    agreements = {of.place: (agreement(of, "before"), agreement(of, "after")) for of in ranked}
    return _template("report.html.j2").render(
        comparison=comparison,
        cost=cost,
        sets=compared_sets(comparison),
        labels={name: metric.label for name, metric in METRICS.items()},
        notes=notes(comparison, cost),
        models=shown_models(comparison),
        names=NAMES,
        tests=changes_shown(comparison),
        overlap_rows=overlap_rows(comparison),
        split_pairs=SPLIT_PAIRS,
        further=further_tables(comparison, cost),
        further_notes=FURTHER_NOTES,
        confidence=percent(confidence, digits=0),
        opening=sentences,
        trained={track for track, points in curves.items() if points["loss"]},
        ablations=ablations,
        provenance=origin,
        packed=pack(ranked),
        agreements=agreements,
        agreement_chart=agreement_chart(ranked, [after for _, after in agreements.values()]),
        change_chart=change_chart(comparison),
        changes_chart=changes_chart(ranked),
        scores_chart=scores_chart(ranked),
        training_charts={track: training_chart(points["loss"], points["dev"]) for track, points in curves.items()},
        guard_charts={track: guard_chart(guard) for track, guard in guards.items() if len(guard["points"]) > 1},
        models_charts={
            track: models_chart(compared_sets({track: block})[0], cost[track]) for track, block in comparison.items()
        },
        systems_charts={
            track: systems_chart(track, in_domain_gains(block), cost[track]["systems"])
            for track, block in comparison.items()
            if "systems" in cost[track]
        },
        needed_charts={
            track: needed_chart(block["needed"]["points"]) for track, block in comparison.items() if "needed" in block
        },
        signed=signed,
        percent=percent,
        millions=millions,
        spread=spread,
        p_value=p_value,
        shared=shared,
        correlation=correlation,
    )


def render_comparison(
    title: str,
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    remarks: Sequence[str],
    ranked: Sequence[RankedSet],
) -> str:
    """Render the page of two checkpoints, whose rankings stand as `before` and `after` in `ranked`."""
    packed = pack(ranked, ("first", "second", "second's teacher"))
    return _template("compare.html.j2").render(
        title=title, headers=headers, rows=rows, notes=remarks, packed=packed, changes_chart=changes_chart(ranked)
    )


def _template(name: str) -> Template:
    loader = PackageLoader("decant.report", ".")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True).get_template(name)
