"""Build one reranking set from its source."""

import argparse

from decant import paths
from decant.fetch.build import SetSource, fetch_set
from decant.fetch.settings import DataSet
from stages import cli


def main(name: str) -> None:
    """Write data/sets/<name>/."""
    card = fetch_set(name, set_source(cli.params().datasets[name]), paths.SETS / name)
    for split, counts in card["splits"].items():
        sizes = f"{counts['queries']} queries, {counts['pairs']} pairs, {counts['unique_texts']} distinct texts"
        print(f"{name} {split}: {sizes}")


def set_source(block: DataSet) -> SetSource:
    """What a block of `datasets` in params says of its set."""
    return SetSource(
        source=block.source,
        revision=block.revision,
        format=block.format,
        packages=block.packages,
        splits=block.splits.model_dump(),
        sizes={"train": block.train, "dev": block.dev, "test": block.test},
        negatives=block.negatives,
        seed=block.seed,
        duplicates=block.duplicates,
        max_overlap=block.max_overlap,
        task=block.task,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the set, a key of `datasets` in params.yaml")
    arguments = parser.parse_args()
    cli.run(f"fetch@{arguments.name}", lambda: main(arguments.name))
