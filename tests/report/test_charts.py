"""The charts: what they draw, what is read out in their place, and colours that are seen on both pages."""

import re

import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from decant.report.charts import AFTER, VARIABLES, guard_chart, models_chart, svg, training_chart
from decant.report.comparison import ComparedSet
from decant.report.ranked_charts import IN_PIXELS
from tests.support.project import ROOT

LIGHT, DARK = re.findall(r":root \{(.*?)\}", (ROOT / "decant/report/report.css.j2").read_text(), re.DOTALL)


def contrast(one: str, other: str) -> float:
    """The ratio of two colours' luminances, of WCAG 2.2."""

    def luminance(colour: str) -> float:
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("block", [LIGHT, DARK], ids=["light", "dark"])
def test_every_colour_of_the_charts_is_seen_on_the_page(block: str) -> None:
    """WCAG asks for 3 of graphics, and for 4.5 of text."""
    colours = dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{3,6})", block))
    assert {*VARIABLES.values()} < colours.keys()
    for name in VARIABLES.values():
        assert contrast(colours[name], colours["page"]) >= 3, name
    for name in ("ink", "faint", "good", "bad"):
        assert contrast(colours[name], colours["page"]) >= 4.5, name
    assert contrast(IN_PIXELS, colours["page"]) >= 3


def test_the_light_pages_colours_are_those_of_the_charts() -> None:
    colours = dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", LIGHT))
    assert {colour: colours[name] for colour, name in VARIABLES.items()} == {colour: colour for colour in VARIABLES}


def test_a_chart_is_an_image_with_words_in_the_pages_colours() -> None:
    figure = Figure()
    figure.add_subplot().plot([0, 1], color=AFTER)
    drawn = svg(figure, 'what "it" shows')
    assert drawn.startswith('<svg role="img" aria-label="what &quot;it&quot; shows"')
    assert "var(--after)" in drawn
    assert not any(colour in drawn for colour in VARIABLES)


def test_the_terms_of_a_loss_are_drawn_beside_it() -> None:
    loss = [{"step": step, "loss": 0.5, "margin_mse": 0.3, "contrastive": 0.2} for step in (1.0, 2.0)]
    assert {">loss<", ">margin mse<", ">contrastive<"} <= {*re.findall(">[a-z ]+<", training_chart(loss, []))}
    alone = training_chart([{"step": 1.0, "loss": 0.5, "kl": 0.5}], [])
    assert ">kl<" not in alone


def words(drawn: str) -> set[str]:
    """The texts of a chart."""
    return {text.strip() for text in re.findall(">([^<>]+)<", drawn)}


def test_the_guards_chart_holds_one_domain_against_the_other_and_names_the_kept_point() -> None:
    points = [(0.0, 0.5, 0.8), (0.5, 0.6, 0.9), (1.0, 0.7, 0.7)]
    named = [{"alpha": alpha, "in_domain": own, "guard": other} for alpha, own, other in points]
    drawn = guard_chart({"dataset": "cwe", "max_loss": 0.02, "alpha": 0.5, "points": named})
    assert {"in-domain MAP (dev)", "cwe MAP (dev)", "before (α = 0)", "0.5, kept", "after (1)"} <= words(drawn)
    assert "kept is 0.5, with 0.6000 and 0.9000" in drawn


def test_quality_is_held_against_what_is_known_of_speed_and_size() -> None:
    compared = ComparedSet("embedding", "in-domain", "icd10", {"map": {"before": 0.5, "after": 0.7, "teacher": 0.6}})
    size = {"teacher": {"bytes": 2e9}, "student": {"bytes": 7e7}}
    timed = {"measured": True, "teacher": {"median": 400.0}, "student": {"median": 800.0}}
    panels = {"pairs a second (median)", "weights (MB)"}
    models = {"before", "after", "teacher", "MAP, icd10"}
    assert panels | models <= words(models_chart(compared, {**size, "speed": timed}))
    untimed = words(models_chart(compared, {**size, "speed": {"measured": False, "reason": "no teacher"}}))
    assert untimed & panels == {"weights (MB)"}
    assert models <= untimed
    unseen = {**size, "teacher": {"bytes": None}, "speed": {"measured": False}}
    assert words(models_chart(compared, unseen)) & models == models - {"teacher"}
