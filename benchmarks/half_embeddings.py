"""What keeping embeddings in float16 does to the scores of the embedding track's train pairs.

    python -m benchmarks.half_embeddings

Needs `dvc repro score@embedding` with float32 embeddings (`embedding.teacher.embeddings_dtype`) in the score store.
"""

import numpy as np

from decant.data.digests import WIDTH
from decant.score.teacher import cosines
from decant.score.work import Job, read_work
from stages import cli


def main() -> None:
    """Print the mean and the largest difference."""
    work = read_work(Job.of(cli.params(), "embedding"), print)
    split = work.splits["train"]
    sides = [work.stored.texts.find(split.keys[:, side : side + WIDTH]) for side in (0, WIDTH)]
    shape, dtype = work.stored.texts.row()
    vectors = np.empty((len(work.stored.texts), *shape), dtype=dtype)
    work.stored.texts.values(np.arange(len(vectors)), vectors)
    exact = cosines(vectors, *sides)
    difference = np.abs(cosines(vectors.astype(np.float16), *sides) - exact)
    print(
        f"{len(exact)} pairs, embeddings of {shape[0]} {dtype} numbers rounded to float16: the cosines differ by "
        f"{difference.mean():.1e} on average and {difference.max():.1e} at most; their standard deviation is "
        f"{exact.std():.2f}"
    )


if __name__ == "__main__":
    main()
