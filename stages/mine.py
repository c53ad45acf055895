"""Mine candidates for a track's train rows if its params say so; else copy the train split as it is."""

import argparse
from typing import Any

from decant import paths
from decant.fetch.mining import mine_split
from decant.kinds import TRACKS
from decant.sources.references import model_folder
from stages import cli


def main(track: str) -> None:
    """Write data/mined/<track>.parquet."""
    params = cli.params()
    block = params.track(track)

    def make_student() -> Any:
        student = block.student
        folder = model_folder(student.model, student.revision, student.sha256, code=student.trust_remote_code)
        return TRACKS[track].models.make_student(student, folder, params.seed)

    held_out = [paths.split(block.in_domain, "dev"), paths.split(block.in_domain, "test")]
    if block.out_of_domain is not None:
        held_out.append(paths.split(block.out_of_domain, "test"))
    mine_split(
        track,
        paths.split(block.in_domain, "train"),
        paths.MINED / f"{track}.parquet",
        block.mine,
        held_out,
        make_student,
        print,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=TRACKS)
    arguments = parser.parse_args()
    cli.run(f"mine@{arguments.track}", lambda: main(arguments.track))
