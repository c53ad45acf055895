"""Models measured by the code of public benchmarks: MTEB's tasks, and NanoBEIR by sentence-transformers."""

import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.repocard_data import model_index_to_eval_results
from sentence_transformers.cross_encoder.evaluation import CrossEncoderNanoBEIREvaluator
from sentence_transformers.sentence_transformer.evaluation import NanoBEIREvaluator

from decant.errors import DecantError
from decant.files import atomic_file, read_json, write_json
from decant.models.kind import Model

SEARCH = "Given a web search query, retrieve relevant passages that answer the query"  # Qwen3-Embedding's default
NANO = "sentence-transformers/NanoBEIR-en"
MEASURES = ("ndcg@10", "mrr@10", "map@100", "map@1000", "recall@10", "recall@100")  # kept of a task, where it has them


def load_mteb() -> Any:
    """The library; a DecantError says how to install it."""
    try:
        return import_module("mteb")
    except ImportError as error:
        raise DecantError("mteb is not installed", "`pip install '.[mteb]'`") from error


def is_causal_lm(folder: Path) -> bool:
    """Whether a folder has a plain causal language model, with nothing of sentence-transformers beside it."""
    config = folder / "config.json"
    if not config.is_file() or (folder / "modules.json").is_file():
        return False
    return any(name.endswith("ForCausalLM") for name in read_json(config).get("architectures") or ())


def tasks_named(names: Sequence[str]) -> list[Any]:
    """MTEB's tasks by their names, and tasks of your own as `module:Class`, from the working folder too.

    Raises:
        DecantError: mteb is not installed, or there is no such task.
    """
    mteb, tasks = load_mteb(), []
    sys.path.append(str(Path.cwd()))
    for name in names:
        module, colon, own = name.partition(":")
        try:
            tasks.append(getattr(import_module(module), own)() if colon else mteb.get_task(name))
        except (ImportError, AttributeError, KeyError) as error:
            reason = str(error).strip('"').splitlines()[0]
            remedy = "name a task of MTEB's, or your own as module:Class"
            raise DecantError(f"--tasks {name}: there is no such task ({reason})", remedy) from error
    return tasks


def run_tasks(model: Model, tasks: Iterable[Any]) -> dict[str, Any]:
    """MTEB's own evaluation of a model.

    A `{task}` in the model's prompts is filled with what MTEB says that the task is for.

    Raises:
        DecantError: a task is none for such a model.

    Returns:
        task → `type`, `dataset` and `revision`, `main`, which measure MTEB ranks by, and `scores`: split → subset →
        measure → value.
    """
    mteb, results = load_mteb(), {}
    for task in tasks:
        with _prompts_filled(model, _purpose(task)), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of the library's own calls
            try:
                [result] = mteb.evaluate(model, task, cache=None, show_progress_bar=False).task_results
            except (TypeError, ValueError) as error:
                problem = f"{task.metadata.name} does not go with this model: {error}"
                raise DecantError(problem, "a cross-encoder needs tasks with candidates (Reranking)") from error
        results[result.task_name] = {
            "type": task.metadata.type,
            "dataset": task.metadata.dataset["path"],
            "revision": task.metadata.dataset["revision"],
            "main": task.metadata.main_score.replace("_at_", "@"),
            "scores": {
                split: {scores["hf_subset"]: _kept(scores) for scores in subsets}
                for split, subsets in result.scores.items()
            },
        }
    return results


def run_nano(model: Model, names: Sequence[str] | None, source: str, *, embeds: bool) -> dict[str, Any]:
    """NanoBEIR by sentence-transformers' evaluator, in the form of `run_tasks`.

    A cross-encoder puts BM25's first 100 documents of each query in order, and the positives that it has missed; all of
    its sets are those that have such documents. A `{task}` in the model's prompts is filled with `SEARCH`.

    Args:
        model: of either kind.
        names: of its sets, such as `msmarco`; None is all.
        source: the hub's name of the data, or a folder.
        embeds: whether the model is a bi-encoder.

    Raises:
        DecantError: a name is unknown, or the data cannot be loaded.
    """
    evaluator_of = NanoBEIREvaluator if embeds else CrossEncoderNanoBEIREvaluator
    try:
        evaluator = evaluator_of(list(names) if names else None, dataset_id=source, write_csv=False)
    except ValueError as error:
        raise DecantError(f"NanoBEIR: {error}", "name sets such as msmarco, and a source that has them") from error
    with _prompts_filled(model, SEARCH):
        values = evaluator(model)
    means: dict[str, float] = {}
    for key, value in values.items():
        measure = key.rsplit("_", 1)[-1]
        if "_mean_" in key and "_base_" not in key and measure in (*MEASURES, "map"):  # base: BM25's own order
            means[measure] = round(float(value), 6)
    listed = " ".join(evaluator.dataset_names)
    return {
        "NanoBEIR": {
            "type": "Retrieval" if embeds else "Reranking",
            "dataset": source,
            "revision": None,
            "main": "ndcg@10",
            "scores": {"test": {listed: means}},
        }
    }


def write_public(path: Path, model: str, results: Mapping[str, Any]) -> None:
    """Write results as JSON, with the versions of what measured them."""
    versions = {name: version(name) for name in ("mteb", "sentence-transformers") if _installed(name)}
    write_json(path, {"model": model, "versions": versions, "tasks": dict(results)})


def write_card(path: Path, folder: Path, name: str, results: Mapping[str, Any]) -> None:
    """Write the model card of a folder with results in its metadata, as the hub reads them (`model-index`).

    What the card had of other tasks stays.
    """
    card = folder / "README.md"
    content = ModelCard.load(card) if card.is_file() else ModelCard(f"---\ntags: []\n---\n\n# {name}\n")
    data = content.data.to_dict()
    earlier = model_index_to_eval_results(data.pop("model-index"))[1] if "model-index" in data else []
    new = [
        EvalResult(
            task_type=result["type"],
            dataset_type=result["dataset"],
            dataset_name=f"{task}, {subset}" if subset != "default" else task,
            dataset_config=subset,
            dataset_split=split,
            dataset_revision=result["revision"],
            metric_type="main_score" if measure == "main" else measure.replace("@", "_at_"),
            metric_value=value,
            metric_name=result["main"] if measure == "main" else measure,
        )
        for task, result in results.items()
        for split, subsets in result["scores"].items()
        for subset, measures in subsets.items()
        for measure, value in measures.items()
    ]
    measured = {each.unique_identifier for each in new}
    kept = [each for each in earlier if each.unique_identifier not in measured]
    content.data = ModelCardData(**data, model_name=name, eval_results=[*kept, *new])
    with atomic_file(path) as partial:
        partial.write_text(str(content), encoding="utf-8")


@contextmanager
def _prompts_filled(model: Model, task: str) -> Iterator[None]:
    prompts = model.prompts
    model.prompts = {name: (prompt or "").replace("{task}", task) for name, prompt in prompts.items()}
    try:
        yield
    finally:
        model.prompts = prompts


def _purpose(task: Any) -> str:
    prompt = task.metadata.prompt
    if isinstance(prompt, dict):
        prompt = prompt.get("query")
    return str(prompt or task.abstask_prompt)


def _kept(scores: Mapping[str, Any]) -> dict[str, float]:
    named = {name.replace("_at_", "@"): value for name, value in scores.items() if isinstance(value, float)}
    found = {name: round(named[name], 6) for name in MEASURES if name in named}
    return {"main": round(float(scores["main_score"]), 6), **found}


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except ImportError:
        return False
