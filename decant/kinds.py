"""What each kind of model needs, and which kind each track's student is.

A track is one line in `TRACKS`, a block of that name in params.yaml, and its entries in dvc.yaml. A kind is one entry
in `KINDS`: a module of `decant.models` that loads and scores it, and one of `decant.train` that trains it. Both are
imported when they are asked for, so that params are read without loading any library of models.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from decant.models.settings import BiEncoderStudent, CrossEncoderStudent, Student

if TYPE_CHECKING:
    from decant.models.kind import ModelKind
    from decant.models.scorer import CountingScorer
    from decant.train.kind import TrainingKind


@dataclass(frozen=True)
class Kind:
    """What Decant must know of a kind of model.

    Args:
        name: of the kind.
        student: the settings of a student of this kind.
        embeds: whether it makes embeddings, of queries and documents apart.
        models_module: see `decant.models.kind.ModelKind`.
        training_module: see `decant.train.kind.TrainingKind`.
    """

    name: str
    student: type[Student]
    embeds: bool
    models_module: str
    training_module: str

    @property
    def models(self) -> "ModelKind":
        """Loads models of this kind, and scores with them."""
        return cast("ModelKind", importlib.import_module(self.models_module))

    @property
    def training(self) -> "TrainingKind":
        """Trains students of this kind: loss, trainer, model card."""
        return cast("TrainingKind", importlib.import_module(self.training_module))

    def scorer(self, folder: Path, tokens: int | None, *, trust_remote_code: bool = False) -> "CountingScorer":
        """The scorer of a checkpoint of this kind."""
        return self.models.make_scorer(self.models.load(folder, trust_remote_code=trust_remote_code), tokens)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("bi_encoder", BiEncoderStudent, True, "decant.models.bi_encoder", "decant.train.bi_encoder"),
        Kind("cross_encoder", CrossEncoderStudent, False, "decant.models.cross_encoder", "decant.train.cross_encoder"),
    )
}

TRACKS = {
    "embedding": KINDS["bi_encoder"],
    "reranker": KINDS["cross_encoder"],
}


def kind_of(folder: Path) -> Kind:
    """The kind of a checkpoint, which its own files tell."""
    from decant.models.load import detect_kind  # and with it the libraries of models

    return KINDS[detect_kind(folder)]
