"""What training needs of a kind of student; `decant.kinds` lists the kinds and their modules."""

from typing import Any, Protocol

from torch import nn

from decant.train.embeddings import TeacherEmbeddings
from decant.train.settings import Loss


class TrainingKind(Protocol):
    """A module of `decant.train` that trains students of one kind."""

    LOADER: str
    """The class that loads such a model, as the model card shows it."""
    PIPELINE: str
    """The hub's pipeline tag."""
    RAW: str
    """What its scores are, as the model card says it."""

    def make_loss(self, model: Any, settings: Loss, teacher: TeacherEmbeddings | None, /) -> nn.Module:
        """The loss of the trainers, from columns of tokens or texts and the packed labels (see `decant.train.columns`).

        Raises:
            DecantError: so many processes as there are cannot train with it.
        """

    def make_trainer(self, arguments: dict[str, Any], task: str, /, **common: Any) -> Any:
        """The library's trainer, by its training arguments. The task fills `{task}` in the query prompt.

        `common` holds model, train_dataset, loss, evaluator and callbacks.
        """
