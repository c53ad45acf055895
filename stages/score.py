"""Score a track's pairs with its teacher: the in-domain train split, the test splits for the teacher's own row, and the
train split of the guard set where it is replayed. Embeddings are kept beside the scores where params want them.

What the score store holds is taken from there, then what lies in data/scores/<track>; the rest is scored and kept in
the store, shard by shard. `decant plan` says what that takes, `decant import` takes in scores that exist already.
"""

from decant import paths
from decant.files import write_json
from decant.score.run import score_track
from decant.score.work import Job
from stages import cli


def main(track: str) -> None:
    """Write data/scores/<track>/ and data/cost/<track>/teacher.json."""
    size = score_track(Job.of(cli.params(), track), paths.SCORES / track, print)
    write_json(paths.COST / track / "teacher.json", size)


if __name__ == "__main__":
    cli.run_track("score", main, __doc__)
