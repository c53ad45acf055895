"""Search the corpora of a track's test sets with its models."""

from collections.abc import Iterator

from decant import paths
from decant.errors import DecantError
from decant.files import atomic_folder, write_json
from decant.params import Params
from decant.retrieve.encoders import ModelEncoder, open_teacher
from decant.retrieve.run import Corpora, Found
from stages import cli

MODELS = ("bm25", "before", "after", "labels_only", "baseline", "teacher")


def main(track: str) -> None:
    """Write data/retrieved/<track>/ and metrics/<track>/retrieval.json."""
    params, means = cli.params(), {}
    with atomic_folder(paths.RETRIEVED / track) as partial:
        for model, found in search(params, track):
            means[model] = found.write(partial / f"{model}.parquet")
            print(f"{track} {model}: {means[model]}")
    write_json(paths.METRICS / track / "retrieval.json", means)


def search(params: Params, track: str) -> Iterator[tuple[str, Found]]:
    """What each model of a track finds in the corpora of its test sets."""
    block, settings = params.track(track), params.retrieve.get(track)
    if settings is None:
        raise DecantError(f"params.yaml has no retrieve.{track}", f"add it: `retrieve: {{{track}: {{}}}}`")
    corpora = Corpora(block.test_sets, settings, params.store, print)
    for model in MODELS:
        if params.baselines.is_off(model) or (model == "teacher" and not settings.teacher):
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
