"""The losses by name: a distillation loss of the library's, mixed with a contrastive term on the labels.

Each is (1 − w) · distillation + w · contrastive, where w is `label_weight`: 0 is the teacher alone, 1 the labels alone.
The first candidate of each n-tuple is its positive. The label term is of labelled n-tuples alone: replayed ones, and
those whose positive is the teacher's choice, are distilled and nothing else.

| name | distils | source |
| --- | --- | --- |
| kl | the distribution over an n-tuple | Hinton et al., arXiv:1503.02531; listwise: Cao et al., ListNet |
| margin_mse | the margins between positive and negatives | Hofstätter et al., arXiv:2010.02666 |
| mse | the scores themselves | |
| embed_distill | the embeddings (bi-encoders) | Kim et al., EmbedDistill, arXiv:2301.12005 |
| lambda | the order (cross-encoders) | Wang et al., LambdaLoss, CIKM 2018 |
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.losses.merged_forward import embed_columns
from sentence_transformers.cross_encoder.losses import LambdaLoss, ListNetLoss, MarginMSELoss
from sentence_transformers.sentence_transformer.losses import DistillKLDivLoss, EmbedDistillLoss
from sentence_transformers.sentence_transformer.losses import MarginMSELoss as CosineMarginMSELoss
from sentence_transformers.util import batch_to_device, pairwise_cos_sim
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, normalize

from decant.train.columns import Labels, unpack
from decant.train.embeddings import TeacherEmbeddings

MASKED = -1e4  # a logit that a softmax makes nothing of
GRADES = 4.0  # of the teacher's best candidate in `lambda`; its gain is 2^4 − 1


@dataclass(frozen=True)
class LossSettings:
    """The fields of a track's `loss` in params, `auto` resolved.

    Args:
        name: of the distillation loss.
        student_temperature: divides the student's scores, in `kl` and in the label term.
        teacher_temperature: divides the teacher's scores, in `kl`.
        teacher_scale: multiplies the teacher's scores, in `margin_mse` and `mse`.
        label_weight: w, from 0 to 1.
        in_batch: whether the label term takes the batch's other candidates as negatives too; of bi-encoders.
        false_negative_margin: negatives that the teacher scores above the positive's score minus this are no negatives
            in the label term; None masks none.
    """

    name: Literal["kl", "margin_mse", "mse", "embed_distill", "lambda"]
    student_temperature: float
    teacher_temperature: float
    teacher_scale: float
    label_weight: float
    in_batch: bool = False
    false_negative_margin: float | None = None


class BiEncoderLoss(nn.Module):
    """Of a student whose score is a cosine.

    Args:
        model: the student.
        settings: of the loss.
        teacher: its embeddings of the n-tuples' texts. `embed_distill` needs them; with them the mask for false
            negatives holds for the batch's other candidates too.
    """

    def __init__(
        self, model: SentenceTransformer, settings: LossSettings, teacher: TeacherEmbeddings | None = None
    ) -> None:
        super().__init__()
        self.model, self.settings, self.teacher = model, settings, teacher
        if settings.name == "embed_distill":
            assert teacher is not None
            same = teacher.dimension == model.get_embedding_dimension()
            self.distance = EmbedDistillLoss(model, "cosine", projection_dim=None if same else teacher.dimension)

    def forward(self, features: Iterable[dict[str, Tensor]], labels: Tensor) -> dict[str, Tensor]:
        """The weighted terms, from columns of tokens and the packed labels (see `decant.train.columns`)."""
        return self.terms(embed_columns(self.model, list(features)), unpack(labels))

    def terms(self, embeddings: list[Tensor], labels: Labels) -> dict[str, Tensor]:
        """The weighted terms, from embeddings of shape (columns, batch, dimension)."""
        query, *candidates = embeddings
        cosines = torch.stack([pairwise_cos_sim(query, text) for text in candidates], dim=1)
        return mixed(
            self.settings,
            lambda: self._distil(embeddings, cosines, labels),
            lambda: self._contrastive(embeddings, cosines, labels),
        )

    def _distil(self, embeddings: list[Tensor], cosines: Tensor, labels: Labels) -> Tensor:
        settings = self.settings
        loss: Tensor
        if settings.name == "embed_distill":
            assert self.teacher is not None
            roles = (
                self.teacher.find("query", labels.texts[:, :1]),
                self.teacher.find("document", labels.texts[:, 1:]),
            )
            rows = torch.cat(roles, dim=1).flatten()
            student = torch.stack(embeddings, dim=1).flatten(0, 1)
            known = rows >= 0  # the teacher could not read the others
            if not known.any():
                return student.sum() * 0
            loss = self.distance.compute_loss_from_embeddings([student[known]], [self.teacher.vectors(rows[known])])
        elif settings.name == "mse":
            loss = mse_loss(cosines, settings.teacher_scale * labels.scores)
        elif settings.name == "margin_mse":
            margin_mse = CosineMarginMSELoss(self.model, similarity_fct=pairwise_cos_sim)
            loss = margin_mse.compute_loss_from_embeddings(embeddings, settings.teacher_scale * labels.scores)
        else:
            divergence = DistillKLDivLoss(
                self.model,
                similarity_fct=pairwise_cos_sim,
                student_temperature=settings.student_temperature,
                teacher_temperature=settings.teacher_temperature,
            )
            # The library scales by the temperature squared, which would make the label term's weight depend on it. With
            # that divided out, the gradient by the student's logits is p_student − ((1 − w) p_teacher + w label).
            loss = divergence.compute_loss_from_embeddings(embeddings, labels.scores) / settings.student_temperature**2
        return loss

    def _contrastive(self, embeddings: list[Tensor], cosines: Tensor, labels: Labels) -> Tensor:
        """Cross-entropy of the positive among its n-tuple's candidates, or among those of all labelled n-tuples."""
        of = labels.labelled
        temperature, margin = self.settings.student_temperature, self.settings.false_negative_margin
        logits = cosines[of].masked_fill(presumed_positive(labels.scores[of], margin), MASKED)
        if self.settings.in_batch:
            query, *candidates = (normalize(column[of], dim=1) for column in embeddings)
            others = query @ torch.cat(candidates).T
            logits = torch.cat([logits, others.masked_fill(self._no_negative(labels.texts[of]), MASKED)], dim=1)
        return positive_first(logits / temperature)

    def _no_negative(self, texts: Tensor) -> Tensor:
        """Which of the batch's candidates, column by column, are no further negatives of a query, shape (batch, all).

        Those are the query's own text, the texts of its n-tuple, the positives of its other n-tuples, and presumed
        positives by the teacher's embeddings.
        """
        candidates = texts[:, 1:].T.flatten()
        same_query = texts[:, :1] == texts[:, 0]
        of_query = (texts[:, 1:2] == candidates) & same_query[:, :, None]  # by query, n-tuple and candidate
        known = (texts[:, :, None] == candidates).any(dim=1) | of_query.any(dim=1)
        if self.settings.false_negative_margin is None or self.teacher is None:
            return known
        rows = self.teacher.find("query", texts[:, 0]), self.teacher.find("document", candidates)
        cosines = self.teacher.vectors(rows[0]) @ self.teacher.vectors(rows[1]).T
        limit = cosines.diagonal()[:, None] - self.settings.false_negative_margin  # the first column is the positives
        able = (rows[0] >= 0)[:, None] & (rows[1][: len(texts)] >= 0)[:, None] & (rows[1] >= 0)
        return known | ((cosines > limit) & able)


class CrossEncoderLoss(nn.Module):
    """Of a student whose score is a raw logit. All pairs of a batch go through the model at once.

    Args:
        model: the student.
        settings: of the loss.
    """

    def __init__(self, model: CrossEncoder, settings: LossSettings) -> None:
        super().__init__()
        self.model, self.settings = model, settings

    def forward(self, inputs: list[list[str]], labels: Tensor | list[Tensor], **kwargs: Any) -> dict[str, Tensor]:
        """The weighted terms, from texts of shape (columns, batch) and the packed labels (see `decant.train.columns`).

        The labels are a tensor, or, as the library's collator of cross-encoders hands them on, a list of its rows.
        """
        query, *candidates = inputs
        pairs = [(text, document) for row in zip(query, *candidates, strict=True) for text, document in _pairs(row)]
        # From a plain dict: DistributedDataParallel finds the outputs in no other mapping.
        tokens = batch_to_device(dict(self.model.preprocess(pairs, **kwargs)), self.model.device)
        logits = self.model(tokens)["scores"].view(len(query), -1)
        return self.terms(logits, unpack(labels if isinstance(labels, Tensor) else torch.stack(labels)))

    def terms(self, logits: Tensor, labels: Labels) -> dict[str, Tensor]:
        """The weighted terms, from the student's raw logits of shape (batch, 1 + k)."""
        return mixed(
            self.settings, lambda: self._distil(logits, labels.scores), lambda: self._contrastive(logits, labels)
        )

    def _distil(self, logits: Tensor, scores: Tensor) -> Tensor:
        settings, count = self.settings, logits.shape[1]
        texts = [""] * len(logits), [[""] * count] * len(logits)  # the library asks a model for logits that are there
        loss: Tensor
        if settings.name == "margin_mse":
            given: Any = Given(logits.T)
            loss = MarginMSELoss(given)([texts[0]] * (count + 1), settings.teacher_scale * scores)
        elif settings.name == "mse":
            loss = mse_loss(logits, settings.teacher_scale * scores)
        elif settings.name == "lambda":
            order = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
            grades = GRADES * (1 - order / (count - 1))
            given = Given(logits)
            loss = LambdaLoss(given)(texts, list(grades))
        else:
            given = Given(logits / settings.student_temperature)
            target = scores / settings.teacher_temperature
            entropy = -(target.softmax(dim=1) * target.log_softmax(dim=1)).sum(dim=1).mean()
            loss = ListNetLoss(given)(texts, list(target)) - entropy  # cross-entropy less entropy is the divergence
        return loss

    def _contrastive(self, logits: Tensor, labels: Labels) -> Tensor:
        of, margin = labels.labelled, self.settings.false_negative_margin
        masked = logits[of].masked_fill(presumed_positive(labels.scores[of], margin), MASKED)
        return positive_first(masked / self.settings.student_temperature)


class Given(CrossEncoder):  # type: ignore[misc]
    """Stands in for the model in a loss of the library's, which asks for the scores of pairs: they are there.

    Args:
        logits: of any shape, in the order in which the loss asks for them, row after row.
    """

    def __init__(self, logits: Tensor) -> None:
        nn.Module.__init__(self)  # there is no model to load
        self._given = logits.flatten()
        self._at = 0

    @property
    def device(self) -> torch.device:
        """That of the logits."""
        return self._given.device

    def preprocess(self, pairs: Sequence[Any], **_: Any) -> dict[str, Tensor]:
        """The next logits, one a pair."""
        start, self._at = self._at, self._at + len(pairs)
        return {"scores": self._given[start : self._at]}

    def forward(self, tokens: dict[str, Tensor], **_: Any) -> dict[str, Tensor]:
        """What `preprocess` returned."""
        return tokens


def mixed(
    settings: LossSettings, distillation: Callable[[], Tensor], contrastive: Callable[[], Tensor]
) -> dict[str, Tensor]:
    """The two terms by name, each with its weight; one of weight 0 is not calculated."""
    terms: dict[str, Tensor] = {}
    if settings.label_weight < 1:
        terms[settings.name] = (1 - settings.label_weight) * distillation()
    if settings.label_weight > 0:
        terms["contrastive"] = settings.label_weight * contrastive()
    return terms


def positive_first(logits: Tensor) -> Tensor:
    """Cross-entropy of the first of each row, shape (); 0 where there is no row."""
    if not len(logits):
        return logits.sum()
    return cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


def presumed_positive(scores: Tensor, margin: float | None) -> Tensor:
    """Which negatives the teacher scores above the positive's score less a margin; from and to shape (batch, 1 + k)."""
    presumed = torch.zeros_like(scores, dtype=torch.bool)
    if margin is not None:
        presumed[:, 1:] = scores[:, 1:] > scores[:, :1] - margin
    return presumed


def _pairs(row: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(row[0], document) for document in row[1:]]
