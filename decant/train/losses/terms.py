"""The terms of the loss, each with its weight."""

import importlib

from torch import Tensor

from decant.train.losses import LOSSES
from decant.train.losses.base import Batch
from decant.train.losses.contrastive import contrastive
from decant.train.losses.spread import spread
from decant.train.settings import Loss


def weighted_terms(batch: Batch, settings: Loss) -> dict[str, Tensor]:
    """The terms by name; one of weight 0 is not calculated."""
    terms: dict[str, Tensor] = {}
    if settings.label_weight < 1:
        distil = importlib.import_module(LOSSES[settings.name].module).distil
        terms[settings.name] = (1 - settings.label_weight) * distil(batch, settings)
    if settings.label_weight > 0:
        terms["contrastive"] = settings.label_weight * contrastive(batch, settings)
    if settings.spread_weight is not None:
        terms["spread"] = settings.spread_weight * spread(batch)
    return terms
