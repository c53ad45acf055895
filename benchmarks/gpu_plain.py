"""What `benchmarks.gpu` measures against: plain loops, of transformers and of vLLM, that waste nothing."""

import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from benchmarks.gpu_estimate import Shape

YES, NO = 1, 0  # any two tokens: the weights are random
TEMPERATURE = 0.05
CANDIDATES = 30  # of a query, whose prompts begin alike
SHARED = 0.7  # of a prompt: the template and the query


@dataclass(frozen=True)
class Row:
    """One measurement: `texts` is the number a step of training takes (n-tuples · texts each), 0 for a teacher."""

    name: str
    shape: Shape
    length: int  # tokens of a text; of real texts their mean
    tuples: int = 0
    texts: int = 0
    real: bool = False  # whether the texts are pydocs' own, of all lengths
    shared: bool = False  # whether the prompts of a query begin alike
    way: str = "plain"  # or "vllm", or "decant": the project's own code

    @property
    def reranker(self) -> bool:
        """Whether the model reads pairs."""
        return "reranker" in self.name


def synchronise(device: torch.device) -> None:
    """Wait for the device's queue."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def rate(work: Callable[[], object], seconds: float, device: torch.device) -> float:
    """Calls of `work` a second over about `seconds`, after a warm-up."""
    work()
    taken, count = 0.0, 1
    while True:
        synchronise(device)
        start = time.perf_counter()
        for _ in range(count):
            work()
        synchronise(device)
        taken = time.perf_counter() - start
        if count > 1 or taken >= seconds:
            return count / taken
        count = max(2, int(seconds / taken))


def draw_batches(mean: int, budget: int, vocab: int, shared: bool = False) -> list[list[list[int]]]:
    """About four batches of token ids, shorter texts first, each of at most `budget` tokens with its padding.

    With `shared`, each text begins as one of a thirtieth of as many beginnings.
    """
    rng = random.Random(0)
    lengths = sorted(rng.randint(mean * 3 // 4, mean * 5 // 4) for _ in range(4 * budget // mean))
    batches: list[list[list[int]]] = [[]]
    longest = int(lengths[-1] * SHARED) if shared else 0
    beginnings = [[rng.randrange(vocab) for _ in range(longest)] for _ in range(-(-len(lengths) // CANDIDATES))]
    for length in lengths:
        if (len(batches[-1]) + 1) * length > budget:
            batches.append([])
        beginning = rng.choice(beginnings)[: int(length * SHARED)]
        batches[-1].append([*beginning, *(rng.randrange(vocab) for _ in range(length - len(beginning)))])
    return batches


def teacher_work(row: Row, batches: list[list[list[int]]], device: torch.device) -> Callable[[], object]:
    """Embeds or scores every batch with plain transformers, the answer read at each text's last token."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    auto = AutoModelForCausalLM if row.reranker else AutoModel
    with torch.device(device):
        model = auto.from_config(row.shape.config(), dtype=dtype).eval()
    inputs = []
    for batch in batches:
        ids = nn.utils.rnn.pad_sequence([torch.tensor(text) for text in batch], batch_first=True).to(device)
        last = torch.tensor([len(text) - 1 for text in batch], device=device)
        inputs.append((ids, (torch.arange(ids.shape[1], device=device) <= last[:, None]).long(), last))

    @torch.inference_mode()
    def work() -> list[Tensor]:
        answers = []
        for ids, mask, last in inputs:
            hidden = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            pooled = hidden[torch.arange(len(last), device=device), last]
            if row.reranker:
                answers.append(pooled @ (model.lm_head.weight[YES] - model.lm_head.weight[NO]))
            else:
                answers.append(functional.normalize(pooled, dim=-1))
        return answers

    return work


def vllm_work(row: Row, batches: list[list[list[int]]], device: torch.device) -> Callable[[], object]:
    """The same with vLLM, which draws the random weights itself: its folder holds no 16 GB, and a tokenizer unused."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # it logs to stdout, between the rows of the table
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    from vllm import LLM, PoolingParams

    reranker = row.reranker
    config = row.shape.config()
    config.architectures = ["Qwen3ForSequenceClassification" if reranker else "Qwen3ForCausalLM"]
    with tempfile.TemporaryDirectory(prefix="decant-gpu-") as folder:
        config.save_pretrained(folder)
        unused = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
        PreTrainedTokenizerFast(tokenizer_object=unused, unk_token="[UNK]").save_pretrained(folder)
        # Prefix caching is off, since the texts share no prefix: each token is read once, as with transformers.
        options = {"load_format": "dummy", "enable_prefix_caching": False, "enforce_eager": True}
        dtype = "bfloat16" if device.type == "cuda" else "float32"
        llm = LLM(folder, runner="pooling", dtype=dtype, max_model_len=1024, **options)
    prompts = [{"prompt_token_ids": text} for batch in batches for text in batch]
    if reranker:
        return lambda: llm.classify(prompts, pooling_params=PoolingParams(use_activation=False), use_tqdm=False)
    return lambda: llm.embed(prompts, use_tqdm=False)


def train_work(row: Row, device: torch.device) -> Callable[[], object]:
    """One step: KL divergence over each query's candidates, or MarginMSE, on random targets."""
    reranker, cuda = row.reranker, device.type == "cuda"
    with torch.device(device):
        if reranker:
            model = AutoModelForSequenceClassification.from_config(row.shape.config(), dtype=torch.float32)
        else:
            model = AutoModel.from_config(row.shape.config(), dtype=torch.float32, add_pooling_layer=False)
        ids = torch.randint(5, row.shape.vocab, (row.tuples * row.texts, row.length))
        scores = torch.randn(row.tuples, row.texts - (not reranker))
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, fused=cuda)

    def work() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=cuda):
            output = model(input_ids=ids, attention_mask=torch.ones_like(ids))
        if reranker:
            logits = output.logits.float().view(row.tuples, row.texts)
            margins, target = (each[:, :1] - each[:, 1:] for each in (logits, scores))
            loss = functional.mse_loss(margins, target)
        else:
            texts = functional.normalize(output.last_hidden_state[:, 0].float(), dim=-1)
            query, candidates = texts.view(row.tuples, row.texts, -1).split([1, row.texts - 1], dim=1)  # type: ignore[no-untyped-call]
            logits = (query * candidates).sum(-1) / TEMPERATURE
            loss = functional.kl_div(logits.log_softmax(-1), scores.softmax(-1), reduction="batchmean")
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return work
