"""What `benchmarks.gpu` measures of Decant: a teacher's engine as `score` loads it, and the stage `train` itself."""

import functools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PreTrainedTokenizerFast,
    TrainerCallback,
)

from benchmarks.gpu_estimate import TINY_STUDENT
from benchmarks.gpu_plain import Row
from decant.data.sets import Row as Query
from decant.data.sets import Split, write_split
from decant.fetch.embedded import pydocs
from decant.kinds import KINDS, Kind
from decant.models import bi_encoder
from decant.models.load import transformer_of
from decant.models.packing import pack
from decant.params import load_params
from decant.score.engines import transformers as transformers_engine
from decant.score.engines.base import load_forward
from decant.score.prompts import Prompt
from decant.score.settings import Teacher
from decant.train.job import Job
from decant.train.run import Outputs, train_track
from decant.triplets.draw import SCHEMA
from tests.support import tiny_models

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]  # with XLM-RoBERTa's numbers
DEV = 16  # queries of the dev split
PACKAGES = ("numpy", "scipy")
STEPS = {"tiny": 4, "cpu": 16, "cuda": 40}
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Texts:
    """The texts of n-tuples as columns, queries first, and their mean length in tokens (of pairs: the pairs')."""

    columns: list[list[str]]
    tokens: float


@dataclass(frozen=True)
class Stage:
    """The stage's steps a second, evaluations left out, and its seconds beside the steps."""

    steps: float
    rest: float


def engine_work(row: Row, batches: list[list[list[int]]], device: torch.device) -> Callable[[], object]:
    """Scores every text by the engine that `decant.score` loads; only the weights are drawn, not read from a file."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    prompts = [Prompt(text, len(text), ()) for batch in batches for text in batch]

    def random_lm(*_: Any, **__: Any) -> Any:
        with torch.device(device):
            return AutoModelForCausalLM.from_config(row.shape.config(), dtype=dtype).eval()

    def random_embedder(folder: Path, **_: Any) -> SentenceTransformer:
        model = load_bi_encoder(folder)
        with torch.device(device):
            model[0].model = AutoModel.from_config(row.shape.config(), dtype=dtype)
        pack(transformer_of(model))
        return model.eval()

    load_bi_encoder = bi_encoder.load
    with tempfile.TemporaryDirectory(prefix="decant-gpu-") as scratch:
        folder = tiny_models.qwen3(Path(scratch) / "model", embedding=not row.reranker)  # its tokenizer and template
        kind, engine = ("causal_lm", "transformers") if row.reranker else ("bi_encoder", "sentence-transformers")
        block = {"kind": kind, "engine": engine, "model": f"path:{folder}", "max_length": 1024}
        teacher = Teacher.model_validate({**block, "dtype": str(dtype).removeprefix("torch.")})
        with (
            patch.object(transformers_engine, "load_causal_lm", random_lm),
            patch.object(bi_encoder, "load", random_embedder),
        ):
            forward = load_forward(teacher, folder)
    return lambda: forward(prompts)


def train_stage(row: Row) -> Stage:
    """Run the stage on n-tuples of the row's texts, from a folder of random weights to the student and its curves."""
    kind = KINDS["cross_encoder" if row.reranker else "bi_encoder"]
    steps = STEPS["tiny" if row.shape is TINY_STUDENT else "cuda" if torch.cuda.is_available() else "cpu"]
    times: list[float] = []
    with tempfile.TemporaryDirectory(prefix="decant-gpu-") as scratch:
        folder = Path(scratch)
        texts = real_texts(row) if row.real else counted_texts(row)
        _write_tuples(folder / "tuples.parquet", texts, steps * row.tuples)
        _write_dev(folder / "dev.parquet", texts)
        _write_model(folder / "model", row, texts)
        job = _job(kind, folder, row, times)
        outputs = Outputs(folder / "student", folder / "baseline", folder / "plots", folder / "cost.json")
        start = time.perf_counter()
        train_track(job, False, outputs, [], lambda _: None)
        whole = time.perf_counter() - start
    each = [later - earlier for earlier, later in pairwise(times)][steps // 3 :]
    return Stage(1 / median(each), whole - sum(each) * steps / len(each))


class _Clock(TrainerCallback):  # type: ignore[misc]
    """Notes when each step ends, all of the device's work done."""

    def __init__(self, times: list[float]) -> None:
        self.times = times

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def _job(kind: Kind, folder: Path, row: Row, times: list[float]) -> Job:
    """The training as params would describe it, with a clock among its callbacks."""

    def make_trainer(arguments: dict[str, Any], task: str, **common: Any) -> Any:
        trainer = kind.training.make_trainer(arguments, task, **common)
        trainer.add_callback(_Clock(times))
        return trainer

    block = load_params(ROOT / "presets/qwen3.yaml").track("reranker" if row.reranker else "embedding")
    same = {"epochs": 1.0, "batch_size": row.tuples, "accumulate": 1, "evaluations": 1, "save_steps": None}
    same |= {"freeze_embeddings": False, "dropout": None}  # as the plain loop trains, on the loss that it has
    same_loss = {"student_temperature": 0.05, "teacher_temperature": 0.05} | ({} if row.reranker else {"name": "kl"})
    changed = {
        "student": block.student.model_copy(update={"model": f"path:{folder / 'model'}"}),
        "loss": block.loss.model_copy(update=same_loss),
        "train": block.train.model_copy(update=same),
    }
    training: Any = SimpleNamespace(
        make_trainer=make_trainer,
        make_loss=kind.training.make_loss,
        LOADER=kind.training.LOADER,
        PIPELINE=kind.training.PIPELINE,
        RAW=kind.training.RAW,
    )
    paths = folder / "model", folder / "tuples.parquet", folder / "dev.parquet"
    params = block.model_copy(update=changed)
    return Job(row.name, kind.models, training, params, None, 0, *paths, None, None, folder / "resume")


def _write_tuples(path: Path, texts: Texts, count: int) -> None:
    """As many n-tuples as are asked for, the texts again from the start where they end."""
    rows = list(zip(*texts.columns, strict=True))
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(count, len(texts.columns) - 1, generator=generator).tolist()
    table = [
        {"query": query, "positive": positive, "negatives": negatives, "scores": of_row}
        for (query, positive, *negatives), of_row in zip(
            (rows[at % len(rows)] for at in range(count)), scores, strict=True
        )
    ]
    with pq.ParquetWriter(path, SCHEMA) as file:
        file.write_table(pa.Table.from_pylist(table, schema=SCHEMA))
        file.add_key_value_metadata({"labelled": "true"})


def _write_dev(path: Path, texts: Texts) -> None:
    rows = islice(zip(*texts.columns, strict=True), DEV)
    write_split(path, Split([Query(query, [positive], negatives) for query, positive, *negatives in rows], "find it"))


def counted_texts(row: Row) -> Texts:
    """Texts of exactly as many tokens as the row says, special ones included; a pair's query has a quarter."""
    words = [f"w{number}" for number in range(row.shape.vocab - len(SPECIAL))]
    generator = torch.Generator().manual_seed(0)

    def column(count: int) -> list[str]:
        drawn = torch.randint(len(words), (64, count), generator=generator).tolist()
        return [" ".join(words[number] for number in text) for text in drawn]

    query = row.length // 4 if row.reranker else row.length - 2
    rest = row.length - 4 - query if row.reranker else row.length - 2
    candidates = row.texts if row.reranker else row.texts - 1
    return Texts([column(query), *(column(rest) for _ in range(candidates))], row.length)


@functools.cache
def _pydocs() -> list[Query]:
    return pydocs.build(Path(), PACKAGES, {"train": 400, "dev": 10, "test": 10}, negatives=8, seed=0)["train"]


@functools.cache
def real_texts(row: Row) -> Texts:
    """n-tuples of pydocs: a function's summary line, one that its `See Also` points to, and others of its package."""
    candidates = row.texts - (not row.reranker)
    tuples = ((each.query, *[each.positive[0], *each.negative][:candidates]) for each in _pydocs())
    columns = [list(column) for column in zip(*tuples, strict=True)]
    encode = _tokenizer(row, columns)
    if row.reranker:
        inputs: list[Any] = [(query, text) for query, *texts in zip(*columns, strict=True) for text in texts]
    else:
        inputs = [text for column in columns for text in column]
    lengths = [len(ids) for ids in encode(inputs)["input_ids"]]
    return Texts(columns, sum(lengths) / len(lengths))


def _tokenizer(row: Row, columns: list[list[str]]) -> PreTrainedTokenizerFast:
    """Whole words and marks, with XLM-RoBERTa's special tokens around a text and between the two of a pair."""
    words = dict.fromkeys(word for column in columns for text in column for word in _split(text))
    known = [*SPECIAL, *words][: row.shape.vocab]
    fast = Tokenizer(models.WordLevel({word: number for number, word in enumerate(known)}, unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    special = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=fast, pad_token="<pad>", unk_token="<unk>", model_max_length=8192, **special
    )


def _split(text: str) -> list[str]:
    return [word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text)]


def _write_model(folder: Path, row: Row, texts: Texts) -> None:
    """A student of the row's shape with random weights and a tokenizer that knows the texts."""
    auto = AutoModelForSequenceClassification if row.reranker else AutoModel
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = auto.from_config(row.shape.config(), dtype=torch.float32)
    model.save_pretrained(folder, safe_serialization=True)
    _tokenizer(row, texts.columns).save_pretrained(folder)
    if not row.reranker:
        modules = [Transformer(str(folder)), Pooling(row.shape.hidden, "cls")]
        SentenceTransformer(modules=modules).save_pretrained(str(folder), create_model_card=False)
