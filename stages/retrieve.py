"""Search the corpora of a track's test sets with its models; empty while its `retrieve` is null."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from decant import paths
from decant.files import atomic_folder, write_json
from decant.params import Params
from stages import cli

if TYPE_CHECKING:
    from decant.retrieve.run import Found

MODELS = ("bm25", "before", "after", "labels_only", "baseline", "teacher")


def main(track: str) -> None:
    """Write data/retrieved/<track>/ and metrics/<track>/retrieval.json."""
    params, means = cli.params(), {}
    with atomic_folder(paths.RETRIEVED / track) as partial:
        for model, found in search(params, track) if params.track(track).retrieve is not None else ():
            means[model] = found.write(partial / f"{model}.parquet")
            print(f"{track} {model}: {means[model]}")
    write_json(paths.METRICS / track / "retrieval.json", means)


def search(params: Params, track: str) -> Iterator[tuple[str, "Found"]]:
    """What each model of a track finds in the corpora of its test sets."""
    from decant.retrieve.encoders import ModelEncoder, open_teacher  # and with them the libraries of models
    from decant.retrieve.run import Corpora

    block = params.track(track)
    assert block.retrieve is not None
    corpora = Corpora(block.test_sets, block.retrieve, params.store, print)
    for model in MODELS:
        if params.baselines.is_off(model) or (model == "teacher" and not block.retrieve.teacher):
            continue
        if model == "bm25":
            yield model, corpora.bm25()
        elif model == "teacher":
            with open_teacher(block.teacher) as teacher:
                yield model, corpora.search(teacher, ())
        else:
            kind, loaded = cli.model_of(params, track, model)
            if kind.embeds:
                encoder = ModelEncoder(loaded, params.evaluate.batch_tokens, f"{model} of {track}")
                yield model, corpora.search(encoder, params.dimensions(track, model))


if __name__ == "__main__":
    cli.run_track("retrieve", main, __doc__)
