"""params.yaml means what it says, and every fault names its key, what was found and what is allowed."""

import math
import re
import subprocess
import sys

import pytest

from decant.commands.params import page
from decant.errors import DecantError
from decant.params import Params, load_params, parse_params
from tests.support.params_texts import ROOT, TEXT, document, dump, edited, refusal


def removed(path: str) -> str:
    content = document()
    *blocks, key = path.split(".")
    block = content
    for name in blocks:
        block = block[name]
    del block[key]
    return dump(content)


def test_the_committed_params_are_valid():
    assert isinstance(load_params(ROOT / "params.yaml"), Params)


@pytest.mark.parametrize(
    "written, value",
    [
        ("2e-05", 2e-5),  # as DVC writes 2e-5 after `dvc exp run -S train.lr=2e-5`: a string to YAML 1.1
        ("2e-5", 2e-5),  # as people write it
        ("2E-5", 2e-5),
        ("1", 1.0),  # a whole number where a float is meant
        (".5", 0.5),
    ],
)
def test_a_rate_is_a_number_however_it_is_written(written, value):
    rate = parse_params(re.sub(r"(?m)^  lr: .*", f"  lr: {written}", TEXT)).train.lr
    assert rate == value
    assert isinstance(rate, float)


@pytest.mark.parametrize(
    "path, key, meant",
    [
        ("", "trian", "train"),  # at the top
        ("train.", "epoch", "epochs"),  # in a block
        ("datasets.icd10.", "negative", "negatives"),  # under a data set, whose name is free
        ("embedding.teacher.", "max_lenght", "max_length"),  # a key that the block inherits in the schema
        ("embedding.student.", "query_promt", "query_prompt"),  # one of this kind of student alone
        ("reranker.student.", "heads", "head"),
        ("embedding.loss.", "teacher_temprature", "teacher_temperature"),
        ("reranker.loss.", "teacher_scal", "teacher_scale"),
        ("embedding.loss.", "inbatch", "in_batch"),
        ("train.", "freeze_embedding", "freeze_embeddings"),
        ("reranker.train.", "batchsize", "batch_size"),  # a track's own training settings
        ("report.", "resample", "resamples"),
    ],
)
def test_a_misspelt_key_is_named_with_the_one_that_was_meant(path, key, meant):
    problem = refusal(edited(**{f"{path}{key}".replace(".", "__"): 1}))
    assert f"{path}{key}: unknown key; did you mean `{meant}`?" in problem


def test_a_key_like_no_other_is_named_without_a_guess():
    problem = refusal(edited(train__zzz=1))
    assert "train.zzz: unknown key" in problem
    assert "did you mean" not in problem


def test_a_key_of_the_other_track_is_unknown():
    assert "embedding.student.head: unknown key" in refusal(edited(embedding__student__head="fresh"))
    assert "reranker.student.query_prompt: unknown key" in refusal(edited(reranker__student__query_prompt="q: "))


@pytest.mark.parametrize(
    "path",
    [
        "seed",
        "train.lr",
        "datasets.icd10.train",
        "embedding.mine",  # DVC needs the key of what a stage depends on: null says that nothing is mined
        "embedding.train",
        "reranker.out_of_domain",
        "reranker",
        "baselines",
    ],
)
def test_a_missing_key_is_named(path):
    assert f"  {path}: missing" in refusal(removed(path))


@pytest.mark.parametrize(
    "path, value, allowed",
    [
        ("seed", True, "integer"),  # a boolean is no number
        ("seed", -1, "0"),
        ("seed", 2**32, "4294967296"),  # beyond NumPy's seeds
        ("train.lr", "fast", "number"),
        ("train.lr", "2e-5", "number"),  # quoted: text
        ("train.lr", 0, "greater than 0"),
        ("train.lr", math.nan, "finite"),
        ("train.lr", math.inf, "finite"),
        ("train.lr", None, "number"),  # nothing to inherit from
        ("train.epochs", -1, "0"),
        ("embedding.replay", -0.1, "0"),
        ("embedding.replay", math.inf, "finite"),
        ("embedding.train.max_loss", 2, "less than or equal to 1"),  # MAP, not points
        ("reranker.train.interpolate", 1, "boolean"),
        ("embedding.teacher.embeddings", None, "boolean"),
        ("train.batch_size", 0, "greater than 0"),
        ("train.batch_size", 16.0, "integer"),  # not converted behind the user's back
        ("train.batch_size", "16", "integer"),
        ("train.warmup", 1.5, "less than or equal to 1"),  # a share, not a number of steps
        ("train.warmup", math.nan, "1"),
        ("train.weight_decay", -0.1, "0"),
        ("train.average", 1, "greater than or equal to 2"),  # a mean of one is the last checkpoint
        ("train.precision", "fp16", "'bfloat16'"),
        ("train.freeze_embeddings", None, "boolean"),  # nothing to inherit from
        ("reranker.train.freeze_embeddings", 1, "boolean"),
        ("train.dropout", 1.5, "less than or equal to 1"),
        ("embedding.train.dropout", "none", "number"),
        ("embedding.train.chunk", 0, "greater than 0"),
        ("embedding.train.lr", "auto", "number"),
        ("embedding.train.precision", "tf32", "'auto'"),
        ("embedding.loss.student_temperature", 0.0, "greater than 0"),  # divides
        ("embedding.loss.label_weight", 2.0, "1"),
        ("reranker.loss.label_weight", "auto", "number"),  # only the teacher's scores have a scale to find out
        ("embedding.loss.student_temperature", "auto", "number"),
        ("embedding.loss.name", 5, "string"),
        ("embedding.loss.sides", "query", "'queries'"),
        ("embedding.loss.spread_weight", 0, "greater than 0"),  # null leaves it out
        ("embedding.loss.in_batch_pairs", "all", "list"),
        ("embedding.loss.dimensions", 128, "list"),
        ("embedding.loss.dimensions", [], "at least 1"),  # null shortens nothing
        ("embedding.loss.in_batch", None, "boolean"),
        ("reranker.loss.false_negative_margin", math.nan, "finite"),
        ("embedding.teacher.kind", "biencoder", "'bi_encoder'"),
        ("embedding.teacher.engine", None, "string"),
        ("embedding.teacher.dtype", "float64", "'float32'"),
        ("embedding.teacher.model", "sentence-transformers/all-MiniLM-L6-v2", "[a-z]+:"),  # no scheme
        ("embedding.teacher.model", "path:", "[a-z]+:"),  # no path
        ("embedding.teacher.sha256", "abc", "64"),
        ("embedding.teacher.sha256", "A" * 64, "0-9a-f"),  # written in capitals
        ("embedding.teacher.trust_remote_code", "yes", "boolean"),  # YAML 1.2 has no yes
        ("embedding.teacher.trust_remote_code", 1, "boolean"),
        ("embedding.student.layers", 3, "list"),
        ("embedding.student.max_length", -1, "greater than 0"),
        ("reranker.student.head", "new", "'fresh'"),
        ("reranker.triplets.negatives", None, "integer"),
        ("reranker.triplets.band_from", -1, "greater than or equal to 0"),
        ("reranker.triplets.band_to", 0, "greater than 0"),
        ("reranker.triplets.false_negative_margin", math.inf, "finite"),
        ("reranker.triplets.false_negative_share", 1.05, "less than or equal to 1"),  # of the positive's score
        ("embedding.triplets.false_negatives", "keep", "'relabel'"),
        ("embedding.mine.method", "tfidf", "'bm25'"),
        ("embedding.mine.corpus", "", "1 character"),
        ("embedding.mine.candidates", 0, "greater than 0"),
        ("embedding.mine.skip", -1, "greater than or equal to 0"),
        ("datasets.icd10.duplicates", "drop", "'merge'"),
        ("datasets.icd10.max_overlap", 5, "less than or equal to 1"),  # percent
        ("datasets.icd10.packages", ["simple-icd-10-cm"], "dictionary"),
        ("datasets.icd10.task", None, "string"),
        ("embedding.in_domain", None, "string"),
        ("report.resamples", 10, "99"),
        ("report.confidence", 95, "less than 1"),  # percent
        ("baselines.labels_only", None, "boolean"),
        ("baselines.bm25", None, "boolean"),
        ("baselines.model", "sentence-transformers/all-MiniLM-L6-v2", "[a-z]+:"),  # no scheme
        ("embedding", None, "Track_embedding"),  # a block emptied
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(path, value, allowed):
    problem = refusal(edited(**{path.replace(".", "__"): value}))
    assert f"  {path}: found {value!r}, allowed: " in problem
    assert allowed in problem.split("allowed: ")[1]


@pytest.mark.parametrize("key", ["embedding__loss__teacher_temperature", "reranker__loss__teacher_scale"])
@pytest.mark.parametrize("value", [0, -1.0, math.inf, True, None, "automatic", [1.0]])
def test_a_scale_of_scores_is_a_number_or_auto(key, value):
    problem = refusal(edited(**{key: value}))
    assert f"  {key.replace('__', '.')}: found {value!r}, allowed: a number greater than 0, or auto" in problem


@pytest.mark.parametrize("value", ["auto", 0.02, 3])
def test_a_scale_of_scores_is_kept_as_it_is_written(value):
    params = parse_params(edited(embedding__loss__teacher_temperature=value, reranker__loss__teacher_scale=value))
    assert params.track("embedding").loss.teacher_temperature == params.track("reranker").loss.teacher_scale == value


@pytest.mark.parametrize(
    "path, value, names",
    [
        ("embedding.loss.name", "kld", "margin_mse"),
        ("embedding.teacher.engine", "onnx", "vllm"),
        ("reranker.triplets.strategy", "hard", "hardest"),
        ("datasets.icd10.format", "csv", "rows"),
        ("embedding.teacher.model", "https:somewhere", "package:…"),
    ],
)
def test_a_name_that_no_registry_has_is_told_with_those_that_it_has(path, value, names):
    problem = refusal(edited(**{path.replace(".", "__"): value}))
    assert f"  {path}: " in problem
    assert names in problem


def test_a_wrong_item_of_a_list_is_named():
    problem = refusal(edited(embedding__student__layers=[0, "5"]))
    assert "embedding.student.layers.1: found '5', allowed: a valid integer" in problem


def test_all_faults_are_told_at_once():
    problem = refusal(edited(seed="x", train__lr=0, report__confidence=2, train__epoch=1))
    for path in ("seed", "train.lr", "report.confidence", "train.epoch"):
        assert f"\n  {path}: " in problem


def test_a_track_inherits_what_it_does_not_set():
    params = parse_params(edited(embedding__train=None, reranker__train={"lr": 0.5, "evaluations": 7}))
    assert params.track("embedding").train == params.train
    own = params.track("reranker").train
    assert (own.lr, own.evaluations) == (0.5, 7)
    assert own.model_copy(update={"lr": params.train.lr, "evaluations": params.train.evaluations}) == params.train


def test_a_tracks_own_zero_is_not_taken_for_nothing():
    params = parse_params(
        edited(embedding__train__epochs=0, embedding__train__warmup=0, embedding__train__weight_decay=0)
    )
    own = params.track("embedding").train
    assert (own.epochs, own.warmup, own.weight_decay) == (0, 0, 0)


def test_shared_epochs_of_zero_hold_for_a_track_with_its_own():
    params = parse_params(edited(train__epochs=0, reranker__train__epochs=3, reranker__train__warmup=0.5))
    own = params.track("reranker").train
    assert (own.epochs, own.warmup) == (0, 0.5)


def test_a_fault_of_the_shared_training_settings_is_told_once():
    assert refusal(edited(train__lr="fast")).count("train.lr") == 1


def test_a_users_own_set_needs_four_lines():
    mine = {"source": "path:data/own", "train": "train.jsonl", "test": "test.jsonl", "task": "find the answer"}
    assert parse_params(edited(datasets__mine=mine)).datasets["mine"].dev is None
    assert parse_params(edited(datasets__mine={**mine, "test": 50})).datasets["mine"].test == 50


def test_the_page_of_all_keys_is_written_from_the_settings():
    text = (ROOT / "docs/params.md").read_text(encoding="utf-8")
    assert page(text) == text, "run `decant params --write`"


def test_reading_params_loads_no_library_of_models():
    code = (
        "import sys; from pathlib import Path; from decant.params import load_params; load_params(Path('params.yaml'));"
        "print([name for name in ('torch', 'transformers', 'numpy', 'pyarrow', 'dvc') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "content, fault",
    [
        (b"", "the file holds no keys"),
        (b"# nothing but a comment\n", "the file holds no keys"),
        (b"- a\n- b\n", "the file holds no keys"),  # a list
        (b"seed: 0\ntrain: {lr: 1\n", "line 3"),  # a brace left open
        (b"seed: 0\n\tlr: 1\n", "line 2"),  # a tab
        (b"seed: 0\nseed: 1\n", "found duplicate key 'seed'"),
        (b"seed: 0\n---\nseed: 1\n", "another document"),  # two documents
        (b"seed: *other\n", "undefined alias"),
        (b"seed: !!python/object:os.system x\n", "could not determine a constructor"),  # code does not run
        ("seed: é".encode("latin-1"), "not UTF-8"),
        (b"a: " + b"[" * 2000, "nested too deeply"),
        (b"seed: " + b"9" * 5000, "not valid YAML"),  # a number longer than Python converts
        (b"seed: 2001-99-99", "allowed: a valid integer"),  # a date is a text
        (b"seed: !!bool perhaps", "not valid YAML"),  # tags that their values belie
        (b"seed: !!int ''", "not valid YAML"),
        (b"seed: !!float ''", "not valid YAML"),
        (b"!!omap\n- seed: 0\n- seed: 1\n", "the file holds no keys"),
    ],
)
def test_a_file_that_is_no_params_file_is_told_in_words(tmp_path, content, fault):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(DecantError) as caught:
        load_params(path)
    assert caught.value.problem.startswith(str(path))
    assert fault in caught.value.problem
    assert caught.value.remedy


def test_a_missing_file_is_told_with_the_command_that_brings_it_back(tmp_path):
    with pytest.raises(DecantError, match="there is no such file") as caught:
        load_params(tmp_path / "params.yaml")
    assert "git checkout" in caught.value.remedy


def test_a_folder_is_no_params_file(tmp_path):
    with pytest.raises(DecantError) as caught:
        load_params(tmp_path)
    assert str(tmp_path) in caught.value.problem


@pytest.mark.parametrize(
    "retrieve, problem",
    [
        ({"reranker": {}}, "retrieve.reranker: no track of this name has a student that makes embeddings: embedding"),
        ({"embeddings": {}}, "retrieve.embeddings: no track of this name has"),
        (
            {"embedding": {"rerankers": ["embedding"]}},
            "retrieve.embedding.rerankers: embedding is no track whose student",
        ),
        ({"embedding": {"top_k": 20}}, "retrieve.embedding.top_k: found 20"),
        ({"embedding": {"corpora": "test"}}, "retrieve.embedding.corpora: unknown key; did you mean `corpus`?"),
    ],
)
def test_a_search_that_cannot_be_is_refused(retrieve, problem):
    assert problem in refusal(edited(retrieve=retrieve))


@pytest.mark.parametrize(
    "export, problem",
    [
        ({"embeddings": {}}, "export.embeddings: no track of this name: embedding or reranker"),
        ({"reranker": {"formats": ["int8"]}}, "export.reranker.formats.0: found 'int8', allowed:"),
        ({"reranker": {"formats": []}}, "export.reranker.formats: found [], allowed:"),
        ({"reranker": {"loss": 0.1}}, "export.reranker.loss: unknown key; did you mean `max_loss`?"),
    ],
)
def test_an_export_that_cannot_be_is_refused(export, problem):
    assert problem in refusal(edited(export=export))


@pytest.mark.parametrize("retrieve", [None, {}, {"embedding": None}, {"embedding": {"rerankers": ["reranker"]}}])
def test_a_search_may_be_left_out_or_take_its_defaults(retrieve):
    settings = parse_params(edited(retrieve=retrieve)).retrieve
    assert list(settings) == list(retrieve or ())
    assert all(of.corpus == "whole" for of in settings.values())
