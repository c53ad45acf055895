"""Score a track's pairs with its teacher: the in-domain train split, and the test splits for the teacher's own row."""

import argparse
import os

from decant.cost import model_size, pairs_per_second
from decant.dataset import read_split
from decant.engines import TeacherSpec, check_engine, load_engine
from decant.errors import DecantError
from decant.files import atomic_folder, read_json, write_json
from decant.scoring import engine_version, score_splits
from decant.sources import model_folder
from stages import cli


def main(track: str) -> None:
    """Write data/scores/<track>/ and metrics/cost/<track>/teacher.json."""
    if os.environ.get("DECANT_TEACHER") == "never":
        raise DecantError(
            "a teacher would have to run, and DECANT_TEACHER=never forbids it",
            f"`dvc pull score@{track}` brings its scores, if the remote is right; or unset DECANT_TEACHER",
        )
    params = cli.params()
    block = params.track(track)
    teacher = block.teacher
    check_engine(teacher.kind, teacher.engine)
    folder = model_folder(teacher.model, teacher.revision, teacher.sha256, code=teacher.trust_remote_code)
    scorer = load_engine(
        TeacherSpec(
            kind=teacher.kind,
            engine=teacher.engine,
            folder=folder,
            max_length=teacher.max_length,
            query_prompt=teacher.query_prompt,
            document_prompt=teacher.document_prompt,
            dtype=teacher.dtype,
            batch_size=teacher.batch_size,
            trust_remote_code=teacher.trust_remote_code,
        )
    )
    sources = {"train": (block.in_domain, "train"), "test_in_domain": (block.in_domain, "test")}
    if block.out_of_domain is not None:
        sources["test_out_of_domain"] = (block.out_of_domain, "test")
    splits = {name: read_split(cli.SETS / dataset / f"{split}.parquet") for name, (dataset, split) in sources.items()}
    identity = {
        "track": track,
        "teacher": teacher.model_dump(),
        "engine_version": engine_version(teacher.engine),
        "data": {
            name: {
                "dataset": dataset,
                "split": split,
                "sha256": read_json(cli.SETS / dataset / "card.json")["splits"][split]["sha256"],
            }
            for name, (dataset, split) in sources.items()
        },
    }
    with atomic_folder(cli.SCORES / track) as partial:
        manifest = score_splits(scorer, splits, partial, identity)
    for name, file in manifest["files"].items():
        found = ", ".join(f"{key} {value}" for key, value in file["scores"].items())
        print(f"{track} {name}: {file['pairs']} pairs of {file['unique_texts']} texts; {found}")
    speed = pairs_per_second(scorer, splits["test_in_domain"])
    write_json(cli.COST / track / "teacher.json", {**model_size(folder), **speed})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=cli.TRACKS)
    arguments = parser.parse_args()
    cli.run(f"score@{arguments.track}", lambda: main(arguments.track))
