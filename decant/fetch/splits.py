"""Allot groups of texts to splits, so that no text of one split stands in another."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence

import networkx as nx

from decant.data.sets import SPLITS, Row, normalise
from decant.errors import DecantError


def allot_groups(group_sizes: Mapping[str, int], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """The split of each group, so that the splits come near their shares.

    Groups that alone outweigh a twentieth of everything, and would otherwise swamp a small split, are taken first, the
    largest before the others; the rest follows in seeded random order. Each goes to the split furthest from its share.

    Args:
        group_sizes: group → number of rows or texts in it.
        shares: split → its share; the proportions count, not the totals.
        seed: of the order in which the groups are taken.
    """
    total = sum(group_sizes.values())
    names = sorted(group_sizes)
    random.Random(seed).shuffle(names)
    names.sort(key=lambda name: -group_sizes[name] if group_sizes[name] * 20 > total else 0)
    wanted = {split: total * shares[split] / sum(shares.values()) for split in SPLITS if shares[split]}
    filled = dict.fromkeys(wanted, 0)
    allotted = {}
    for name in names:
        allotted[name] = split = max(wanted, key=lambda s: (wanted[s] - filled[s]) / wanted[s])
        filled[split] += group_sizes[name]
    return allotted


def carve(rows: Sequence[Row], sizes: Mapping[str, int], seed: int, source: str) -> dict[str, list[Row]]:
    """Carve splits from the train rows; rows that share a query or a positive stay together.

    Args:
        rows: of train.
        sizes: dev, test or both → about how many rows; a group of related rows may exceed it.
        seed: of the order in which groups are allotted.
        source: of the set, for messages.

    Raises:
        DecantError: rows lack labels or negatives, or are too few or too closely related.
    """
    keys = " and ".join(f"`{split}`" for split in sizes)
    if not all(row.positive and row.negative for row in rows):
        kind = "train rows without negatives" if rows[0].labelled else "unlabelled train rows"
        raise DecantError(
            f"{source}: {kind} cannot serve as {' or '.join(sizes)}", f"name a labelled split or file in {keys}"
        )
    rest = len(rows) - sum(sizes.values())
    if rest <= 0:
        wanted = " and ".join(f"{size} {split}" for split, size in sizes.items())
        raise DecantError(
            f"{source}: {len(rows)} train rows are too few to carve {wanted} queries from",
            f"set {keys} to smaller numbers, or name a split or file there",
        )
    graph = nx.Graph()
    for number, row in enumerate(rows):
        graph.add_node(number)
        graph.add_edges_from((number, normalise(text)) for text in (row.query, *row.positive))
    group_of: dict[int, str] = {}
    for component in nx.connected_components(graph):
        members = [node for node in component if isinstance(node, int)]
        group_of |= dict.fromkeys(members, f"{min(members):09d}")
    shares = {**dict.fromkeys(SPLITS, 0), **sizes, "train": rest}
    allotted = allot_groups(Counter(group_of.values()), shares, seed)
    carved: dict[str, list[Row]] = {split: [] for split in ("train", *sizes)}
    for number, row in enumerate(rows):
        carved[allotted[group_of[number]]].append(row)
    if empty := [split for split, members in carved.items() if not members]:
        raise DecantError(
            f"{source}: nothing is left for {' and '.join(empty)}, since nearly all rows share queries or positives",
            f"name a split or file in {keys}",
        )
    return carved
