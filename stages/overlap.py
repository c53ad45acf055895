"""The texts that splits share: of each of a track's sets, and of in-domain train with the out-of-domain test split."""

import argparse
from typing import Any

from decant import paths
from decant.data.sets import read_split
from decant.fetch.overlap import Texts, overlap
from decant.files import read_json, write_json
from stages import cli


def main(track: str) -> None:
    """Write metrics/<track>/overlap.json."""
    block = cli.params().track(track)
    names = [name for name in (block.in_domain, block.out_of_domain) if name is not None]
    found: dict[str, Any] = {name: read_json(paths.SETS / name / "card.json")["overlap"] for name in names}
    if block.out_of_domain is not None:
        train = Texts(read_split(paths.SETS / block.in_domain / "train.parquet").rows)
        test = Texts(read_split(paths.SETS / block.out_of_domain / "test.parquet").rows)
        found[f"{block.in_domain} → {block.out_of_domain}"] = {"train-test": overlap(train, test)}
    write_json(paths.METRICS / track / "overlap.json", found)
    for name, pairs in found.items():
        for pair, counts in pairs.items():
            shared = ", ".join(
                f"{counts[role]['near']} of {counts[role]['texts']} {role}" for role in ("queries", "candidates")
            )
            print(f"{track}: {name}, {pair}: {shared} are in the first split too, exactly or nearly")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("track", choices=TRACKS)
    arguments = parser.parse_args()
    cli.run(f"overlap@{arguments.track}", lambda: main(arguments.track))
