"""Cross-encoders with their head in modules of sentence-transformers, and decoders without a padding token."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from decant.errors import DecantError
from decant.kinds import kind_of
from decant.models import cross_encoder
from decant.models.load import transformer_of
from decant.models.packing import packs
from decant.models.scorer import Scores
from decant.models.settings import CrossEncoderStudent
from decant.models.size import model_size
from tests.support import tiny_models as tiny
from tests.support.students import train, tuples

QUERIES = ["wart", "what is fever 🤒?", "急性", "a"]
TEXTS = ["Plantar wart", " ", ".", "acute fever " * 20, "急性心肌梗塞，伴有发热", "def f(x):\n\treturn x"]
PAIRS = [query for query in QUERIES for _ in TEXTS], TEXTS * len(QUERIES)


@pytest.fixture(scope="module", params=["cls", "mean"])
def modular(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.modular_cross_encoder(tmp_path_factory.mktemp("modular"), pooling=request.param)


def of_the_library(folder: Path) -> Scores:
    """The library's own raw scores of all pairs."""
    model = CrossEncoder(str(folder), activation_fn=nn.Identity(), device="cpu")
    model.max_seq_length = 192
    scores: Scores = model.predict(list(zip(*PAIRS, strict=True)))
    return scores


def test_a_modular_checkpoint_is_scored_through_its_modules(modular: Path) -> None:
    scores = kind_of(modular).scorer(modular, 400).score(*PAIRS)
    assert scores == pytest.approx(of_the_library(modular), abs=1e-4)
    assert np.ptp(scores) > 1


def test_a_modular_teacher_reads_and_gives_what_the_library_does(modular: Path) -> None:
    scorer = tiny.scorer("cross_encoder", "sentence-transformers", modular)
    assert scorer.score(*PAIRS) == pytest.approx(of_the_library(modular), abs=1e-4)
    pairs = list(zip(*PAIRS, strict=True))
    read = CrossEncoder(str(modular), device="cpu").preprocess(pairs)
    expected = [ids[mask > 0].tolist() for ids, mask in zip(read["input_ids"], read["attention_mask"], strict=True)]
    assert [prompt.ids for prompt in scorer.prompts.build(pairs, "")] == expected


def test_a_modular_teacher_in_half_precision_is_close(modular: Path) -> None:
    scores = tiny.scorer("cross_encoder", "sentence-transformers", modular, dtype="bfloat16").score(*PAIRS)
    expected = of_the_library(modular)
    assert scores.dtype == np.float32
    assert np.abs(scores - expected).max() < 0.05 * np.ptp(expected)
    assert not np.array_equal(scores, expected)


def test_a_modular_student_is_trained_with_its_head_and_saved(modular: Path, tmp_path: Path) -> None:
    student = CrossEncoderStudent(model=f"path:{modular}", max_length=64)
    model = cross_encoder.make_student(student, modular, 0)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    curves = train(model, tmp_path / "model", tuples([5.0, 0.0, -5.0]), epochs=10.0, lr=3e-3, evaluations=1)
    moved = {name.split(".")[0] for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == {"0", "2", "3", "4"}  # the backbone, both Dense and the LayerNorm
    assert curves.loss[-1]["margin_mse"] < 0.5 * curves.loss[0]["margin_mse"]
    model.save_pretrained(str(tmp_path / "last"), create_model_card=False)
    assert not list(tmp_path.rglob("*.bin"))
    saved = kind_of(tmp_path / "last").scorer(tmp_path / "last", 400)
    assert saved.score(*PAIRS) == pytest.approx(cross_encoder.make_scorer(model, 400).score(*PAIRS), abs=1e-5)


def test_a_modular_models_fresh_head_comes_from_the_seed(tmp_path: Path) -> None:
    folder = tiny.modular_cross_encoder(tmp_path)
    kept = cross_encoder.load(folder)
    with torch.no_grad():
        kept[3].norm.weight.fill_(7)
    kept.save_pretrained(str(folder), create_model_card=False)
    settings = CrossEncoderStudent(model=f"path:{folder}", max_length=64, head="fresh")
    one, same, other = (cross_encoder.make_student(settings, folder, seed) for seed in (1, 1, 2))
    for index in (2, 4):
        assert torch.equal(one[index].linear.weight, same[index].linear.weight)
        assert not torch.equal(one[index].linear.weight, other[index].linear.weight)
        assert not torch.equal(one[index].linear.weight, kept[index].linear.weight)
    assert not one[4].linear.bias.any()
    assert torch.equal(one[3].norm.weight, torch.ones(32))
    weights = zip(transformer_of(one).parameters(), transformer_of(kept).parameters(), strict=True)
    assert all(torch.equal(left, right) for left, right in weights)


def test_local_attention_keeps_its_padding(modular: Path) -> None:
    assert not packs(transformer_of(cross_encoder.load(modular)))


def test_the_size_counts_the_modules(modular: Path) -> None:
    model = cross_encoder.load(modular)
    assert model_size(modular)["parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_a_model_without_a_head_is_refused(tmp_path: Path) -> None:
    folder = tiny.modular_cross_encoder(tmp_path)
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:-1]))
    with pytest.raises(DecantError, match="ModernBertModel has no classification head to keep"):
        cross_encoder.load(folder)


def test_a_model_of_several_labels_is_refused(tmp_path: Path) -> None:
    folder = tiny.modular_cross_encoder(tmp_path, labels=3)
    with pytest.raises(DecantError, match="has 3 labels, and a score is one logit"):
        cross_encoder.load(folder)


def test_a_model_that_puts_a_prompt_before_texts_is_refused(tmp_path: Path) -> None:
    folder = tiny.modular_cross_encoder(tmp_path)
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "prompts": {"q": "x"}, "default_prompt_name": "q"}))
    with pytest.raises(DecantError, match="puts its prompt 'q' before texts"):
        cross_encoder.load(folder)


def test_a_decoder_without_a_padding_token_takes_the_tokenizers(tmp_path: Path) -> None:
    folder = tiny.qwen3_cross_encoder(tmp_path / "model")
    assert json.loads((folder / "config.json").read_text()).get("pad_token_id") is None
    scorer = kind_of(folder).scorer(folder, 4000)  # all pairs in few batches
    scores, taught = scorer.score(*PAIRS), tiny.scorer("cross_encoder", "sentence-transformers", folder).score(*PAIRS)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        alone = [
            float(model(**tokenizer([query], [text], return_tensors="pt", return_token_type_ids=False)).logits)
            for query, text in zip(*PAIRS, strict=True)
        ]
    assert scores == pytest.approx(alone, abs=1e-4)
    assert taught == pytest.approx(alone, abs=1e-4)
    assert np.ptp(scores) > 0.1
