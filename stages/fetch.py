"""Build one reranking set from its source, or a union from those of its sets."""

import argparse
from collections.abc import Mapping
from typing import Any

from decant import paths
from decant.errors import DecantError
from decant.fetch.build import fetch_set, left_out
from decant.fetch.union import fetch_union
from stages import cli


def main(name: str) -> None:
    """Write data/sets/<name>/."""
    params = cli.params()
    datasets, folder = params.datasets, paths.SETS / name
    if name in params.unions:
        card = fetch_union(name, params.unions[name], datasets, folder)
        for member, of_set in card["sets"].items():
            _tell(member, of_set)
    elif name in datasets:
        card = fetch_set(name, datasets[name], folder)
    else:
        known = " or ".join((*datasets, *params.unions))
        raise DecantError(f"params.yaml has no data set {name!r}", f"name {known}, or add it there")
    _tell(name, card)
    for member in params.members(name):
        if datasets[member].dev is None:
            told = f"dev is a tenth of train, at most 500 queries; set datasets.{member}.dev to change that"
            print(f"{member}: {told}")


def _tell(name: str, card: Mapping[str, Any]) -> None:
    """Print what the card says of a set's splits: their sizes, what was left out, what no reader uses."""
    for split, counts in card["splits"].items():
        sizes = f"{counts['queries']} queries, {counts['pairs']} pairs, {counts['unique_texts']} distinct texts"
        print(f"{name} {split}: {sizes}{', carved from train' if split in card.get('carved_from_train', ()) else ''}")
        if rows := card.get("rows"):
            print(f"{name} {split}: {', '.join(f'{count} rows of {member}' for member, count in rows[split].items())}")
        for told in left_out(counts):
            print(f"{name} {split}: {told}")
    for split, columns in card.get("unused", {}).items():
        found = "; ".join(f"`{column}`, such as {str(value)[:40]!r}" for column, value in columns.items())
        print(f"{name} {split}: no reader uses {found}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the set, a key of `datasets` or `unions` in params.yaml")
    arguments = parser.parse_args()
    cli.run(f"fetch@{arguments.name}", lambda: main(arguments.name))
