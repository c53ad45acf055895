"""Mine candidates for a track's train rows if its params say so; else copy the train split as it is."""

from typing import Any

from decant import paths
from decant.fetch.mining import mine_split
from decant.kinds import TRACKS
from stages import cli


def main(track: str) -> None:
    """Write data/mined/<track>.parquet."""
    params = cli.params()
    block = params.track(track)

    def make_model() -> Any:
        if block.searcher is not None:
            return cli.model_of(params, block.searcher, "after")[1]
        student = block.student
        return TRACKS[track].models.make_student(student, cli.student_folder(student), params.seed)

    held_out = [paths.split(block.in_domain, "dev"), paths.split(block.in_domain, "test")]
    if block.out_of_domain is not None:
        held_out.append(paths.split(block.out_of_domain, "test"))
    source, target = paths.split(block.in_domain, "train"), paths.MINED / f"{track}.parquet"
    mine_split(track, source, target, block.mine, held_out, make_model, print)


if __name__ == "__main__":
    cli.run_track("mine", main, __doc__)
