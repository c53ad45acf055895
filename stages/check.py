"""Validate the whole of params.yaml, so that a misspelt key is never 'up to date'."""

from decant.train.precision import check_precision
from stages import cli


def main() -> None:
    """Load the params; every fault stops."""
    params = cli.params()
    for block in params.tracks.values():
        check_precision(block.train.precision)
    if trackers := params.trackers:
        from decant.train.trackers import check_trackers

        check_trackers(trackers)
    for exported in params.export.values():
        from decant.export.packages import load, needed

        for package in needed(exported.formats):
            load(package)
    print("params.yaml is valid")


if __name__ == "__main__":
    cli.run("check", main)
