"""Search the corpora of a track's test sets with its models, and put in order what its student finds."""

from collections.abc import Iterator

from decant import paths
from decant.errors import DecantError
from decant.files import atomic_folder, write_json
from decant.params import Params
from decant.retrieve.corpora import Corpora, Reranker
from decant.retrieve.encoders import ModelEncoder, open_teacher
from decant.retrieve.run import Found
from decant.retrieve.teachers import open_reranking_teacher
from stages import cli


def main(track: str) -> None:
    """Write data/retrieved/<track>/ and metrics/<track>/retrieval.json."""
    params, found, rerankers = cli.params(), dict[str, Found](), dict[str, Reranker]()
    if (settings := params.retrieve.get(track)) is None:
        raise DecantError(f"params.yaml has no retrieve.{track}", f"add it: `retrieve: {{{track}: {{}}}}`")
    corpora = Corpora(params.track(track).test_sets, settings, params.seed, params.store, print)
    with atomic_folder(paths.RETRIEVED / track) as partial:
        found |= search(params, track, corpora)
        first = {name: of for name, of in found.items() if name in ("bm25", "after")}
        for name in settings.rerankers:
            kind, loaded = cli.model_of(params, name, "after")
            scorer = kind.models.make_scorer(loaded, params.evaluate.batch_tokens)
            rerankers[name] = Reranker(scorer, sum(weights.nbytes for weights in loaded.parameters()))
            found |= {f"{search}+{name}": of for search, of in corpora.rerank(first, scorer).items()}
        for name in settings.rerankers if settings.reranking_teachers else ():
            with open_reranking_teacher(params.track(name).teacher, params.store, print) as teacher:
                found[f"teacher+{name}-teacher"] = corpora.rerank({"": found["teacher"]}, teacher)[""]
        means = {model: of.write(partial / f"{model}.parquet", print) for model, of in found.items()}
        after = encoder(params, track, "after") if rerankers or settings.indexes else None
        timed = corpora.timed(after, rerankers, bm25="bm25" in first) if rerankers and after else {}
        indexes = corpora.indexes(after, params.dimensions(track, "after")) if settings.indexes and after else {}
        write_json(partial / "latency.json", {"systems": timed, "indexes": indexes})
    write_json(paths.METRICS / track / "retrieval.json", means)


def search(params: Params, track: str, corpora: Corpora) -> Iterator[tuple[str, Found]]:
    """What each model of a track finds."""
    if params.baselines.bm25:
        yield "bm25", corpora.bm25()
    for model in params.retrieve[track].models:
        if not params.baselines.is_off(model) and (found := encoder(params, track, model)) is not None:
            yield model, corpora.search(found, params.dimensions(track, model))
    if params.retrieve[track].teacher:
        with open_teacher(params.track(track).teacher) as teacher:
            yield "teacher", corpora.search(teacher, ())


def encoder(params: Params, track: str, model: str) -> ModelEncoder | None:
    """A model of a track as an encoder; None for an untouched model that makes no embeddings."""
    kind, loaded = cli.model_of(params, track, model)
    return ModelEncoder(loaded, params.evaluate.batch_tokens, f"{model} of {track}") if kind.embeds else None


if __name__ == "__main__":
    cli.run_track("retrieve", main, __doc__)
