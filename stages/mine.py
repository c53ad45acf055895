"""Mine candidates for a track's train rows, where its params say so; else hand the train split on as it is."""

import argparse
import shutil
from collections.abc import Iterable
from itertools import chain

from decant import paths
from decant.data.files import read_texts
from decant.data.sets import Row, Split, read_split, write_split
from decant.fetch.mining import Search, bm25_search, check_candidates, dense_search, make_corpus, mine
from decant.files import atomic_file
from decant.params import Params
from decant.sources.references import resolve
from stages import cli


def main(track: str) -> None:
    """Write data/mined/<track>.parquet."""
    params = cli.params()
    block = params.track(track)
    source, target = paths.SETS / block.in_domain / "train.parquet", paths.MINED / f"{track}.parquet"
    if block.mine.method is None:
        check_candidates(source, f"{track}.mine.method")
        with atomic_file(target) as partial:
            shutil.copyfile(source, partial)
        print(f"{track}: {target} is the train split of {block.in_domain}; nothing is mined")
        return
    train = read_split(source)
    corpus = make_corpus(texts(params, track, train), held_out(params, track))
    print(
        f"{track}: {len(corpus.texts)} texts to mine; {corpus.held_out} that stand in dev or test "
        f"and {corpus.duplicates} duplicates are left out"
    )
    found = mine(
        train.rows, corpus, searches(params, track, corpus.texts, train.task), block.mine.candidates, block.mine.skip
    )
    write_split(target, Split(found.rows, train.task))
    print(
        f"{track}: {found.found} candidates mined by {block.mine.method} for {len(found.rows)} queries; "
        f"{found.left_out} queries left out, for which too little was found"
    )


def texts(params: Params, track: str, train: Split) -> Iterable[str]:
    """The corpus that the params name, or all texts of the train split."""
    corpus = params.track(track).mine.corpus
    if corpus is None:
        return chain.from_iterable((row.query, *row.candidates) for row in train.rows)
    return read_texts(resolve(corpus if corpus.startswith(("path:", "package:")) else f"path:{paths.OWN / corpus}"))


def held_out(params: Params, track: str) -> list[Row]:
    """The rows of dev and of the test splits."""
    block = params.track(track)
    splits = [(block.in_domain, "dev"), (block.in_domain, "test")]
    if block.out_of_domain is not None:
        splits.append((block.out_of_domain, "test"))
    return [row for dataset, split in splits for row in read_split(paths.SETS / dataset / f"{split}.parquet").rows]


def searches(params: Params, track: str, corpus: list[str], task: str) -> list[Search]:
    """What the track's method searches by."""
    method = params.track(track).mine.method
    found = [bm25_search(corpus)] if method in ("bm25", "both") else []
    if method in ("dense", "both"):
        from sentence_transformers import SentenceTransformer  # slow to import

        from decant.student_old import make_student

        student = make_student(params, track)
        assert isinstance(student, SentenceTransformer)  # the params refuse it for a cross-encoder
        found.append(dense_search(corpus, student, task))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=TRACKS)
    arguments = parser.parse_args()
    cli.run(f"mine@{arguments.track}", lambda: main(arguments.track))
