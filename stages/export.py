"""Export a track's student to other runtimes, each format measured on the dev split: `python -m stages.export NAME`."""

from typing import Any

from decant import paths
from decant.data.sets import read_split
from decant.errors import DecantError
from decant.export.run import export
from decant.files import atomic_folder, write_json
from decant.kinds import TRACKS
from stages import cli


def main(track: str) -> None:
    """Write data/exported/<track>/ and metrics/<track>/exported.json."""
    params = cli.params()
    if (settings := params.export.get(track)) is None:
        raise DecantError(f"params.yaml has no export.{track}", f"add it: `export: {{{track}: {{}}}}`")
    dev = read_split(paths.split(params.track(track).in_domain, "dev"))

    def load() -> Any:
        return cli.model_of(params, track, "after")[1].to("cpu")

    with atomic_folder(paths.EXPORTED / track) as partial:
        kind, folder = TRACKS[track].models, paths.MODELS / track
        dimensions, tokens = params.dimensions(track, "after"), params.evaluate.batch_tokens
        exported = export(kind, load, folder, settings, dev, dimensions, tokens, partial, print)
        write_json(partial / "measured.json", exported._asdict())
    write_json(paths.METRICS / track / "exported.json", exported.metrics)


if __name__ == "__main__":
    cli.run_track("export", main, __doc__)
