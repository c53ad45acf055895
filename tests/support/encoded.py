"""What a model encodes."""

from collections.abc import Sequence
from typing import Any

import pytest
from sentence_transformers import SentenceTransformer


def encoded_texts(model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that gets every text that the model encodes from now on."""
    encoded: list[str] = []
    encode = model.encode

    def counted(texts: Sequence[str], **options: Any) -> Any:
        encoded.extend(texts)
        return encode(texts, **options)

    monkeypatch.setattr(model, "encode", counted)
    return encoded
