"""Build one reranking set from its source."""

import argparse

from decant import paths
from decant.errors import DecantError
from decant.fetch.build import fetch_set, left_out
from stages import cli


def main(name: str) -> None:
    """Write data/sets/<name>/."""
    datasets = cli.params().datasets
    if name not in datasets:
        raise DecantError(f"params.yaml has no data set {name!r}", f"name {' or '.join(datasets)}, or add it there")
    settings = datasets[name]
    card = fetch_set(name, settings, paths.SETS / name)
    for split, counts in card["splits"].items():
        sizes = f"{counts['queries']} queries, {counts['pairs']} pairs, {counts['unique_texts']} distinct texts"
        print(f"{name} {split}: {sizes}{', carved from train' if split in card.get('carved_from_train', ()) else ''}")
        for told in left_out(counts):
            print(f"{name} {split}: {told}")
    for split, columns in card.get("unused", {}).items():
        found = "; ".join(f"`{column}`, such as {str(value)[:40]!r}" for column, value in columns.items())
        print(f"{name} {split}: no reader uses {found}")
    if settings.dev is None:
        print(f"{name}: dev is a tenth of train, at most 500 queries; set datasets.{name}.dev to change that")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the set, a key of `datasets` in params.yaml")
    arguments = parser.parse_args()
    cli.run(f"fetch@{arguments.name}", lambda: main(arguments.name))
