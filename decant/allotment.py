"""Allot groups of texts to splits, so that no text of one split stands in another."""

import random
from collections.abc import Mapping

from decant.dataset import SPLITS


def allot_groups(group_sizes: Mapping[str, int], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Assign each group to a split, so that the splits come near their shares.

    Groups are taken largest first (those that alone outweigh a twentieth of everything, which
    would otherwise swamp a small split), then in seeded random order; each goes to the split
    that is furthest from its share.

    Args:
        group_sizes: group name → number of rows or texts in it.
        shares: split name → its share; the proportions count, not the totals.
        seed: of the order in which the groups are taken.

    Returns:
        group name → split name.
    """
    total = sum(group_sizes.values())
    names = sorted(group_sizes)
    random.Random(seed).shuffle(names)
    names.sort(key=lambda name: -group_sizes[name] if group_sizes[name] * 20 > total else 0)
    wanted = {split: total * shares[split] / sum(shares.values()) for split in SPLITS if shares[split]}
    filled = dict.fromkeys(wanted, 0)
    allotted = {}
    for name in names:
        split = max(wanted, key=lambda s: (wanted[s] - filled[s]) / wanted[s])
        filled[split] += group_sizes[name]
        allotted[name] = split
    return allotted
