"""Models that skip padding give the outputs and gradients of the padded batch; those that cannot are left alone."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from torch import Tensor
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    MistralConfig,
    MistralModel,
    ModernBertConfig,
    ModernBertModel,
    MPNetConfig,
    MPNetModel,
    Qwen3Config,
    Qwen3ForSequenceClassification,
    Qwen3Model,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

from decant.models import bi_encoder, packing
from decant.models.bi_encoder import BiEncoderScorer
from decant.models.load import transformer_of
from decant.models.packing import Layout, cumulative, pack, unpack
from tests.support import students

LENGTHS = [3, 12, 5, 5, 7, 1]
SIZES = {
    "vocab_size": 100,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
GROUPED = {**SIZES, "num_key_value_heads": 2, "head_dim": 16, "pad_token_id": 0}
PLACES = {"max_position_embeddings": 50}  # fewer: XLM-R counts from behind the padding token's number

MODELS: dict[str, Callable[[], Any]] = {
    "bge-m3": lambda: XLMRobertaModel(XLMRobertaConfig(**SIZES, **PLACES), add_pooling_layer=False),
    "bge-reranker": lambda: XLMRobertaForSequenceClassification(XLMRobertaConfig(**SIZES, **PLACES, num_labels=1)),
    "MiniLM": lambda: BertModel(BertConfig(**SIZES)),  # its pooler reads the first token, behind the layers
    "MiniLM, reranker": lambda: BertForSequenceClassification(BertConfig(**SIZES, num_labels=1)),
    "Qwen3-Embedding": lambda: Qwen3Model(Qwen3Config(**GROUPED)),  # causal, with fewer key heads
    "Qwen3-Reranker": lambda: Qwen3ForSequenceClassification(Qwen3Config(**GROUPED, num_labels=1)),
}
KEEP_PADDING: dict[str, Callable[[], Any]] = {
    "local attention": lambda: ModernBertModel(
        ModernBertConfig(**SIZES, pad_token_id=0, cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2)
    ),
    "a sliding window": lambda: MistralModel(MistralConfig(**GROUPED)),
    "relative positions": lambda: MPNetModel(MPNetConfig(**SIZES)),
}


def batch_of(model: Any) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()
    ids = torch.randint(5, 100, mask.shape, generator=generator)
    return {"input_ids": ids.where(mask > 0, model.config.pad_token_id), "attention_mask": mask}


def run(model: Any, batch: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """What the model gives where there are tokens, and the gradients of a sum that weighs all of it."""
    model.zero_grad()
    output = model(**batch)
    hidden = output.get("last_hidden_state")
    given = [output[name] for name in ("logits", "pooler_output") if output.get(name) is not None]
    given += [] if hidden is None else [hidden[batch["attention_mask"] > 0]]
    generator = torch.Generator().manual_seed(1)
    torch.stack([(each * torch.randn(each.shape, generator=generator)).sum() for each in given]).sum().backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    return [each.detach() for each in given], gradients


@pytest.mark.parametrize("name", MODELS)
def test_outputs_and_gradients_are_those_of_the_padded_batch(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    expected, gradients = run(model, batch_of(model))
    assert pack(model)
    outputs, packed_gradients = run(model, batch_of(model))
    for output, padded in zip(outputs, expected, strict=True):
        assert torch.allclose(output, padded, rtol=1e-5, atol=1e-6)
    scale = max(float(gradient.norm()) for gradient in gradients.values())
    assert packed_gradients.keys() == gradients.keys()
    for weight, gradient in gradients.items():
        assert float((packed_gradients[weight] - gradient).norm()) <= 1e-5 * max(float(gradient.norm()), 1e-2 * scale)


@pytest.mark.parametrize("name", ["MiniLM, reranker", "Qwen3-Embedding"])
def test_a_model_that_is_unpacked_computes_padding_again(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    expected, _ = run(model, batch_of(model))
    assert pack(model)
    unpack(model)
    seen = []
    layer = next(module for module in model.modules() if isinstance(module, torch.nn.ModuleList))[0]
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    outputs, _ = run(model, batch_of(model))
    assert seen == [(len(LENGTHS), max(LENGTHS), 32)]
    assert all(torch.equal(output, padded) for output, padded in zip(outputs, expected, strict=True))


@pytest.mark.parametrize("name", ["bge-m3", "Qwen3-Embedding"])
def test_the_layers_see_each_token_once_and_no_padding(name: str) -> None:
    model = MODELS[name]().eval()
    assert pack(model)
    seen = []
    layer = next(module for module in model.modules() if isinstance(module, torch.nn.ModuleList))[0]
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    model(**batch_of(model))
    assert seen == [(1, sum(LENGTHS), 32)]


@pytest.mark.parametrize("name", KEEP_PADDING)
def test_a_model_whose_attention_is_another_keeps_its_padding_and_its_outputs(name: str) -> None:
    torch.manual_seed(0)
    model = KEEP_PADDING[name]().eval()
    before, implementation = run(model, batch_of(model))[0], model.config._attn_implementation
    assert not pack(model)
    assert model.config._attn_implementation == implementation
    assert all(torch.equal(*pair) for pair in zip(run(model, batch_of(model))[0], before, strict=True))


def test_a_model_that_gives_other_outputs_in_the_trial_keeps_its_padding(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS["bge-m3"]().eval()
    implementation = model.config._attn_implementation
    right = packing._by_length
    monkeypatch.setattr(packing, "_by_length", lambda *arguments: right(*arguments) * 1.01)
    assert not pack(model)
    assert model.config._attn_implementation == implementation


def test_packing_twice_is_packing_once() -> None:
    model = MODELS["MiniLM"]().eval()
    assert pack(model)
    hooks = len(model.encoder._forward_hooks)
    assert pack(model)
    assert len(model.encoder._forward_hooks) == hooks


@pytest.mark.parametrize("name", ["MiniLM", "Qwen3-Embedding"])
def test_a_copy_packs_with_its_own_weights(name: str) -> None:
    model = MODELS[name]().eval()
    assert pack(model)
    twin = copy.deepcopy(model)
    expected = twin(**batch_of(twin)).last_hidden_state
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    assert torch.equal(twin(**batch_of(twin)).last_hidden_state, expected)
    assert expected.any()


@pytest.mark.parametrize("name", ["MiniLM", "Qwen3-Embedding"])
def test_a_batch_that_comes_another_way_is_masked(name: str) -> None:
    """Embeddings of tokens are no tokens, so nothing is packed."""
    model = MODELS[name]().eval()
    batch = batch_of(model)
    mask = batch["attention_mask"]
    inputs = {"inputs_embeds": model.get_input_embeddings()(batch["input_ids"]), "attention_mask": mask}
    real = mask > 0
    expected = model(**inputs).last_hidden_state[real]
    assert pack(model)
    assert torch.allclose(model(**inputs).last_hidden_state[real], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["MiniLM", "Qwen3-Embedding"])
def test_every_layers_states_are_asked_for_of_a_padded_batch(name: str) -> None:
    model = MODELS[name]().eval()
    batch = batch_of(model)
    expected = model(**batch, output_hidden_states=True).hidden_states
    assert pack(model)
    layers = model(**batch, output_hidden_states=True).hidden_states
    real = batch["attention_mask"] > 0
    assert all(
        torch.allclose(layer[real], other[real], atol=1e-6) for layer, other in zip(layers, expected, strict=True)
    )


def test_a_model_without_a_transformer_is_loaded_and_scores(tmp_path: Path) -> None:
    tokenizer = students.bi_encoder().tokenizer.backend_tokenizer
    table = StaticEmbedding(tokenizer, embedding_dim=8)
    SentenceTransformer(modules=[table]).save_pretrained(str(tmp_path), create_model_card=False)
    scorer = BiEncoderScorer(bi_encoder.load(tmp_path), None)
    assert scorer.score(["red", "red"], ["red", "an apple"])[0] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("make", [students.bi_encoder, students.cross_encoder])
def test_sentence_transformers_gives_each_text_what_it_gives_it_alone(make: Any) -> None:
    model = make().eval()
    assert transformer_of(model).config._attn_implementation == packing.IMPLEMENTATION
    texts = ["red", "an apple that is red and heavy", "plum"]
    inputs = texts if make is students.bi_encoder else [(text, "a fruit") for text in texts]
    run = model.encode if make is students.bi_encoder else model.predict
    alone = [run([each])[0] for each in inputs]
    for text, expected in zip(run(inputs), alone, strict=True):
        assert text == pytest.approx(expected, abs=1e-5)


def test_a_saved_model_does_not_know_of_packing(tmp_path: Any) -> None:
    model = MODELS["bge-m3"]().eval()
    pack(model)
    model.save_pretrained(tmp_path)
    assert packing.IMPLEMENTATION not in (tmp_path / "config.json").read_text()
    assert XLMRobertaModel.from_pretrained(tmp_path).config._attn_implementation != packing.IMPLEMENTATION


def test_dropout_of_attention_happens_in_training_alone() -> None:
    torch.manual_seed(0)
    model = MODELS["bge-m3"]()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    assert pack(model)
    batch = batch_of(model)
    attentions = [module for name, module in model.named_modules() if name.endswith("attention.self.dropout")]
    for dropout in attentions:
        dropout.p = 0.5
    model.eval()
    assert torch.equal(model(**batch).last_hidden_state, model(**batch).last_hidden_state)
    model.train()
    assert not torch.equal(model(**batch).last_hidden_state, model(**batch).last_hidden_state)


def test_a_layout_lays_the_longest_text_first() -> None:
    layout = Layout.of_mask(torch.tensor([[1, 0, 0], [1, 1, 1], [1, 1, 0]]))
    assert layout.queries == [3, 2, 1]
    assert layout.cumulative_queries.tolist() == [0, 3, 5, 6]
    assert layout.rows is not None
    assert layout.rows.tolist() == [3, 4, 5, 6, 7, 0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("causal", [False, True])
def test_the_kernels_of_a_gpu_take_these_arguments_and_have_gradients(dtype: torch.dtype, causal: bool) -> None:
    """On torch's device without data, which checks types and shapes: values need a GPU, where `pack` tries them."""
    heads = {torch.bfloat16: 2, torch.float32: 4}[dtype]
    query, key, value = (
        torch.empty(6, count, 16, dtype=dtype, device="meta", requires_grad=True) for count in (4, heads, heads)
    )
    ends = cumulative([3, 2, 1], torch.device("meta"))
    layout = Layout([3, 2, 1], [3, 2, 1], ends, ends, None)
    output = packing._on_gpu(query, key, value, layout, 0.1, None, causal)
    assert (output.shape, output.dtype) == (query.shape, dtype)
    output.sum().backward()
    for each in (query, key, value):
        assert each.grad is not None
        assert each.grad.shape == each.shape
