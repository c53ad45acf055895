"""Students of some of a model's layers compute what those layers compute, and still do when saved and loaded again."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from torch import Tensor
from torch.nn.functional import normalize
from transformers import T5Config, T5EncoderModel

from decant.errors import DecantError
from decant.models import bi_encoder as bi_encoders
from decant.models import cross_encoder as cross_encoders
from decant.models.load import transformer_of
from decant.models.settings import BiEncoderStudent, CrossEncoderStudent
from decant.models.students import keep_layers
from tests.support import tiny_architectures as tiny

TEXTS = [
    "the colour of a plum",
    "a peach is red , as all know , and heavy and big , and its smell is sweet",
    "lime",
    "the weight of a melon and the weight of a fig and the weight of a date",
]
PAIRS = [(query, text) for query in TEXTS[::3] for text in TEXTS]
IN_STACK = re.compile(r"(?P<stack>(.*\.)?layers?\.)(?P<layer>\d+)(?P<rest>\..*)")
CLOSE = {"rtol": 1e-4, "atol": 1e-5}

kept = pytest.mark.parametrize("layers", [[0, 2], [0, 3], [0, 1, 3]], ids=str)


def student_of(folder: Path, name: str, layers: list[int] | None) -> SentenceTransformer:
    settings = BiEncoderStudent(model=f"path:{folder}", max_length=64, layers=layers)
    return bi_encoders.make_student(settings, tiny.bi_encoder(name, folder), seed=0)


def reranker_of(folder: Path, name: str, layers: list[int] | None) -> CrossEncoder:
    settings = CrossEncoderStudent(model=f"path:{folder}", max_length=64, layers=layers)
    return cross_encoders.make_student(settings, tiny.cross_encoder(name, folder), seed=0)


def by_hand(whole: Any, layers: list[int]) -> Any:
    """A transformer of its own with so many layers, into which the named layers' weights are copied."""
    config = copy.deepcopy(whole.config)
    types = getattr(config, "layer_types", None)
    config.num_hidden_layers = len(layers)
    if types:
        config.layer_types = [types[layer] for layer in layers]
    config._attn_implementation = "eager"
    model = type(whole)(config).eval()
    weights = {}
    for name, value in whole.state_dict().items():
        if not (in_stack := IN_STACK.match(name)):
            weights[name] = value
        elif (layer := int(in_stack["layer"])) in layers:
            weights[f"{in_stack['stack']}{layers.index(layer)}{in_stack['rest']}"] = value
    model.load_state_dict(weights)
    return model


def pooled(hidden: Tensor, mask: Tensor, name: str) -> Tensor:
    """Embeddings of length 1: the mean of a text's tokens, or of a decoder the last one, padded on the left."""
    if name == "Qwen3":
        return normalize(hidden[:, -1])
    return normalize((hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True))


@kept
@pytest.mark.parametrize("name", tiny.BI_ENCODERS)
@torch.no_grad()
def test_a_bi_encoder_of_some_layers_embeds_as_they_do(name: str, layers: list[int], tmp_path: Path) -> None:
    whole = student_of(tmp_path / "whole", name, None)
    expected = by_hand(transformer_of(whole), layers)
    batch = whole.tokenizer(TEXTS, padding=True, return_tensors="pt")
    embeddings = pooled(expected(**batch).last_hidden_state, batch["attention_mask"], name).numpy()
    assert np.abs(embeddings - whole.encode(TEXTS)).max() > 0.01  # the layers left out would be missed

    short = student_of(tmp_path / "short", name, layers)
    np.testing.assert_allclose(short.encode(TEXTS), embeddings, **CLOSE)
    short.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    loaded = bi_encoders.load(tmp_path / "saved", max_length=64)
    np.testing.assert_allclose(loaded.encode(TEXTS), embeddings, **CLOSE)


@kept
@pytest.mark.parametrize("name", tiny.CROSS_ENCODERS)
@torch.no_grad()
def test_a_cross_encoder_of_some_layers_scores_as_they_do(name: str, layers: list[int], tmp_path: Path) -> None:
    whole = reranker_of(tmp_path / "whole", name, None)
    expected = by_hand(transformer_of(whole), layers)
    batch = whole.tokenizer(*zip(*PAIRS, strict=True), padding=True, return_tensors="pt")
    scores = expected(**batch).logits[:, 0].numpy()
    assert np.abs(scores - whole.predict(PAIRS)).max() > 0.01

    short = reranker_of(tmp_path / "short", name, layers)
    np.testing.assert_allclose(short.predict(PAIRS), scores, **CLOSE)
    short.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    np.testing.assert_allclose(cross_encoders.load(tmp_path / "saved").predict(PAIRS), scores, **CLOSE)


@pytest.mark.parametrize("name", ["ModernBERT", "Qwen3"])
def test_each_kept_layer_keeps_its_window(name: str, tmp_path: Path) -> None:
    types = transformer_of(student_of(tmp_path / "whole", name, None)).config.layer_types
    assert len(set(types)) == 2
    short = student_of(tmp_path / "short", name, [0, 3])
    short.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    for model in (short, bi_encoders.load(tmp_path / "saved")):
        assert transformer_of(model).config.layer_types == [types[0], types[3]]


def test_a_decoder_of_some_layers_reads_on_from_its_cache(tmp_path: Path) -> None:
    model = transformer_of(student_of(tmp_path, "Qwen3", [1, 3]))
    ids = torch.arange(5, 17)[None]
    at_once = model(input_ids=ids).last_hidden_state
    first = model(input_ids=ids[:, :7], use_cache=True)
    rest = model(input_ids=ids[:, 7:], past_key_values=first.past_key_values).last_hidden_state
    torch.testing.assert_close(rest, at_once[:, 7:])


T5 = {"vocab_size": 40, "d_model": 32, "num_layers": 4, "d_kv": 8, "d_ff": 64, "num_heads": 4}
MISFITS: dict[str, tuple[Callable[[Path], SentenceTransformer], str]] = {
    "ModernBERT's first layer has no norm": (
        lambda folder: student_of(folder, "ModernBERT", None),
        "ModernBertModel is loaded with another layer in place 0 than its layer 1: `attn_norm` is Identity instead of",
    ),
    "T5's first layer alone has position biases": (
        lambda _: SentenceTransformer(modules=[Bare(T5EncoderModel(T5Config(**T5)))], device="cpu"),
        "in place 0 than its layer 1: `layer.0.SelfAttention.has_relative_attention_bias` is True instead of False",
    ),
}


class Bare(torch.nn.Module):
    """A transformer where sentence-transformers has it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model.eval()


@pytest.mark.parametrize("misfit", MISFITS)
@torch.no_grad()
def test_what_would_be_loaded_otherwise_is_refused_and_left_whole(misfit: str, tmp_path: Path) -> None:
    make, told = MISFITS[misfit]
    model = make(tmp_path)
    transformer, ids = transformer_of(model), torch.arange(5, 17)[None]
    before = transformer(input_ids=ids).last_hidden_state
    with pytest.raises(DecantError, match="keep layer 0 in its place") as raised:
        keep_layers(model, [1, 3])
    assert told in str(raised.value)
    torch.testing.assert_close(transformer(input_ids=ids).last_hidden_state, before, rtol=0, atol=0)
    assert transformer.config.num_hidden_layers == 4


def test_a_layer_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DecantError, match="the model has no layer 4"):
        student_of(tmp_path, "BERT", [0, 4])
