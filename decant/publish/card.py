"""A student's card as it is published: what it was made of, what it does on the test splits, how it is served."""

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import CardData, EvalResult, ModelCard, ModelCardData, RepoCard

from decant.evaluate.metrics import METRICS
from decant.publish.licences import Source
from decant.report.comparison import NAMES, compared_sets, shown_models
from decant.report.figures import interval, p_value
from decant.report.table import table
from decant.train.card import serving


def published_card(
    card: str,
    name: str,
    compared: Mapping[str, Any],
    licences: Sequence[tuple[Source, str | None]],
    chosen: str | None,
    trained_on: Sequence[str],
    measured: Sequence[EvalResult],
) -> str:
    """Complete the card that `train` wrote.

    Args:
        card: its text, with a metadata block.
        name: of the repository, owner/name.
        compared: the track's block of metrics/comparison.json.
        licences: of what the student was made of.
        chosen: the student's own licence.
        trained_on: the sets that training saw.
        measured: what `decant mteb` found of the student.

    Returns:
        the card with the hub's metadata (base_model, datasets, licence, results) and what a reader asks first.
    """
    content: Any = ModelCard(card)
    known: dict[str, Any] = content.data.to_dict()
    if models := _on_the_hub(licences, "student"):
        known["base_model"] = models
    if data := _on_the_hub(licences, "data"):
        known["datasets"] = data
    if chosen is not None:
        known["license"] = chosen
    content.data = ModelCardData(**known, model_name=name, eval_results=[*_results(compared), *measured])
    sections = [
        _on_the_test_splits(compared),
        _made_of(licences, chosen),
        serving(known["pipeline_tag"], name),
        _limits(compared, trained_on),
    ]
    text = content.text.partition("\n## Serving\n")[0].rstrip().replace(f'"models/{known["tags"][-1]}"', f'"{name}"')
    content.text = "\n\n".join([text, *sections]) + "\n"
    return str(content)


def licensed(card: str, licence: str) -> str:
    """The card of a data set, with its licence in the metadata."""
    content: Any = RepoCard(card)
    content.data = CardData(**content.data.to_dict() | {"license": licence})
    return str(content)


def _on_the_hub(licences: Sequence[tuple[Source, str | None]], role: str) -> list[str]:
    """The repositories of a role, without those of packages, folders and other hubs."""
    references = (source.reference for source, _ in licences if source.role == role)
    return [reference.removeprefix("hub:") for reference in references if reference.startswith("hub:")]


def _results(compared: Mapping[str, Any]) -> list[EvalResult]:
    return [
        EvalResult(
            task_type="text-ranking",
            dataset_type=of.dataset,
            dataset_name=f"{of.dataset}, {of.domain}",
            dataset_split="test",
            metric_type=metric.replace("@", "_at_"),
            metric_name=METRICS[metric].label,
            metric_value=of.entry[metric]["after"],
        )
        for of in compared_sets({"": compared})
        for metric in METRICS
    ]


def _on_the_test_splits(compared: Mapping[str, Any]) -> str:
    rows, shown = [], shown_models({"": compared})
    for of in compared_sets({"": compared}):
        for metric, measured in METRICS.items():
            values, change = of.entry[metric], of.entry[metric]["change"]
            means = [f"{values[model]:.4f}" if model in values else "–" for model in shown]
            p = p_value(change["p_value"], compared["resamples"])
            rows.append([f"{of.dataset}, {of.domain}", measured.label, *means, interval(**change), p])
    confidence = f"{compared['confidence']:.0%}"
    headers = ["test set", "metric", *(NAMES[model] for model in shown), f"after − before ({confidence} interval)", "p"]
    return f"""## On the test splits

{table(headers, rows)}

Each query's own candidates are ranked. Interval and p are over the queries, of this checkpoint: they do not say what
another training seed would give."""


def _made_of(licences: Sequence[tuple[Source, str | None]], chosen: str | None) -> str:
    rows = [
        [source.role, f"`{source.reference}`", source.revision or "–", licence or "not known"]
        for source, licence in licences
    ]
    own = f"This model is published under {chosen}." if chosen else "No licence was chosen for this model."
    return f"## Licences\n\n{own} It was made of:\n\n{table(['what', 'of', 'revision', 'licence'], rows)}"


def _limits(compared: Mapping[str, Any], trained_on: Sequence[str]) -> str:
    shown = " The out-of-domain rows above show such texts." if compared["domains"].get("out_of_domain") else ""
    return f"""## Limits

Trained on {" and ".join(trained_on)} alone: on other texts it may be worse than the model that it was made of.{shown}
The figures are of lists of candidates, not of a whole corpus."""
