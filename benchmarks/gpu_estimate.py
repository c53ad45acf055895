"""Calculate the published recipe's GPU hours from the models' FLOPs: `python -m benchmarks.gpu --estimate`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

from transformers import ModernBertConfig, Qwen3Config, XLMRobertaConfig


@dataclass(frozen=True)
class Shape:
    """The sizes of a transformer: Qwen3 (`causal`, grouped heads), ModernBERT (`modern`) or XLM-RoBERTa."""

    name: str
    causal: bool
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    tied: bool = False
    modern: bool = False

    @property
    def weights(self) -> int:
        """Parameters with the embeddings, and the reranker's head where it is not the embeddings again."""
        return self.matrices + self.vocab * self.hidden * (2 if "Reranker" in self.name and not self.tied else 1)

    @property
    def matrices(self) -> int:
        """Parameters of the layers' matrices: no embeddings, heads, biases or norms."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        gated = self.causal or self.modern
        return self.layers * (attention + (3 if gated else 2) * self.hidden * self.ffn)

    def forward_flops(self, tokens: int, texts: float = 1) -> float:
        """Model FLOPs of the forward pass over `texts` texts of `tokens` tokens each, as if no layer had a window."""
        attention = (2 if self.causal else 4) * self.layers * self.heads * self.head_dim * tokens**2
        return texts * (2 * self.matrices * tokens + attention)

    def config(self) -> Qwen3Config | ModernBertConfig | XLMRobertaConfig:
        """The transformers configuration."""
        sizes = {"vocab_size": self.vocab, "hidden_size": self.hidden, "intermediate_size": self.ffn}
        sizes |= {"num_hidden_layers": self.layers, "num_attention_heads": self.heads, "num_labels": 1}
        if self.modern:
            return ModernBertConfig(**sizes, pad_token_id=0)
        if not self.causal:
            return XLMRobertaConfig(**sizes, max_position_embeddings=8194, type_vocab_size=1, layer_norm_eps=1e-5)
        heads = {"num_key_value_heads": self.kv_heads, "head_dim": self.head_dim, "tie_word_embeddings": self.tied}
        return Qwen3Config(**sizes, **heads, max_position_embeddings=40960, use_cache=False)


QWEN3_8B = Shape("Qwen3-Embedding-8B", True, 4096, 36, 32, 8, 128, 12288, 151665)
QWEN3_06B = Shape("Qwen3-Embedding-0.6B", True, 1024, 28, 16, 8, 128, 3072, 151669, tied=True)
BGE_M3 = Shape("bge-m3", False, 1024, 24, 16, 16, 64, 4096, 250002)
BGE_RERANKER = replace(BGE_M3, name="bge-reranker-v2-m3")
MODERNBERT = Shape("modernbert-embed-base", False, 768, 22, 12, 12, 64, 1152, 50368, modern=True)
ETTIN_150M = replace(MODERNBERT, name="ettin-reranker-150m")
ETTIN_32M = Shape("ettin-reranker-32m", False, 384, 10, 6, 6, 64, 576, 50368, modern=True)
TINY = Shape("tiny Qwen3", True, 64, 2, 2, 1, 32, 128, 512, tied=True)
TINY_STUDENT = Shape("tiny XLM-RoBERTa", False, 64, 2, 2, 2, 32, 128, 512)
TINY_MODERN = replace(TINY_STUDENT, name="tiny ModernBERT", modern=True)
MINILM = Shape("three layers of MiniLM", False, 384, 3, 12, 12, 32, 1536, 30522)
SHAPES = {  # embedding teacher, reranker teacher, embedding student, reranker student
    "8b": (QWEN3_8B, replace(QWEN3_8B, name="Qwen3-Reranker-8B", vocab=151669), BGE_M3, BGE_RERANKER),
    "0.6b": (QWEN3_06B, replace(QWEN3_06B, name="Qwen3-Reranker-0.6B"), BGE_M3, BGE_RERANKER),
    "minilm": (TINY, TINY, MINILM, MINILM),
    "tiny": (TINY, TINY, TINY_STUDENT, TINY_STUDENT),
}
PRESETS = {  # the same, of those whose students are others than presets/qwen3.yaml's
    "presets/ettin.yaml": (*SHAPES["8b"][:3], ETTIN_32M),
    "presets/ettin.yaml, 150M": (*SHAPES["8b"][:3], ETTIN_150M),
    "presets/modernbert-embed.yaml": (*SHAPES["8b"][:2], MODERNBERT, BGE_RERANKER),
}


def line(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


@dataclass(frozen=True)
class Set:
    """The counts of a data set's split, and tokens: of a query, a candidate, and the prompts around them."""

    queries: int  # rows
    unique_queries: int
    pairs: int
    documents: int  # distinct
    positives: float  # a query
    query: int
    document: int
    instruct: int  # before an embedding teacher's query, with the end-of-text token
    prefix: int  # of the reranker's prompt, before the query
    rest: int  # of the reranker's prompt, after the query


# Counts: MTEB's descriptive statistics. Prompts: counted with Qwen's vocabulary. Texts: 4 characters a token, assumed.
SCIDOCS = Set(3978, 3293, 118_600, 85_153, 4.93, 18, 18, 22, 62, 12)  # test; validation is assumed to be the same
STACK_TEST = Set(2992, 2992, 89_470, 79_806, 1.16, 13, 11, 14, 54, 12)
STACK_TRAIN = replace(STACK_TEST, queries=19_847, unique_queries=19_847, pairs=593_486)  # assumed: 29.903 a query
SCIDOCS_DEV, STACK_DEV = 400, 1000  # queries, carved from the training side by presets/qwen3.yaml
TRAININGS, DEV_EVALUATIONS, TESTED = 2, 6, 3  # the student and labels-only; at the start and 5 times; those and before
GPUS = {"A100 80GB": 312.0, "H100 / H200": 989.0, "L4": 121.0, "RTX 4090": 165.0}  # dense bfloat16 TFLOP/s, published


def estimate(size: str) -> list[tuple[str, float, float, float]]:
    """The stages of the recipe with one of `SHAPES` or `PRESETS`: (what, texts or pairs, tokens, model FLOPs)."""
    embedder, reranker, student, cross_encoder = (SHAPES | PRESETS)[size]

    def stage(name: str, shape: Shape, lengths: Sequence[tuple[float, int]], passes: int = 1) -> None:
        texts, tokens = sum(count for count, _ in lengths), sum(count * length for count, length in lengths)
        flops = passes * sum(shape.forward_flops(length, count) for count, length in lengths)
        stages.append((name, texts, tokens, flops))

    stages: list[tuple[str, float, float, float]] = []
    tests = (SCIDOCS, STACK_TEST)
    texts = [(each.unique_queries, each.query + each.instruct) for each in (SCIDOCS, *tests)]
    texts += [(each.documents, each.document + 1) for each in (SCIDOCS, *tests)]
    stage(f"score, {embedder.name}, texts", embedder, texts)
    pairs = [(s.pairs, s.prefix + s.query + s.document + s.rest) for s in (STACK_TRAIN, *tests)]
    stage(f"score, {reranker.name}, pairs", reranker, pairs)
    # With prefix caching the template and the query are read once a query. Not in the sum: an engine may not have it.
    tokens, flops = 0.0, 0.0
    for s in (STACK_TRAIN, *tests):
        head, tail = s.prefix + s.query, s.document + s.rest
        tokens += s.unique_queries * head + s.pairs * tail
        flops += reranker.forward_flops(head, s.unique_queries - s.pairs) + reranker.forward_flops(head + tail, s.pairs)
    stages.append((f"({reranker.name}, shared prefixes cached)", sum(count for count, _ in pairs), tokens, flops))
    # Students' tokens: 2 special ones a text, 4 a pair. A step on an n-tuple reads every text, the query included.
    tuples: float = TRAININGS * (SCIDOCS.queries - SCIDOCS_DEV) * 5
    stage(
        f"train, {student.name}, texts", student, [(tuples, SCIDOCS.query + 2), (6 * tuples, SCIDOCS.document + 2)], 3
    )
    tuples = TRAININGS * (STACK_TRAIN.queries - STACK_DEV) * STACK_TRAIN.positives
    pair = STACK_TRAIN.query + STACK_TRAIN.document + 4
    stage(f"train, {cross_encoder.name}, pairs", cross_encoder, [(9 * tuples, pair)], 3)
    dev = TRAININGS * DEV_EVALUATIONS * SCIDOCS_DEV
    texts = [(TESTED * (each.unique_queries + each.documents), each.document + 2) for each in tests]
    stage(
        f"evaluate, {student.name}, texts",
        student,
        [*texts, (dev * SCIDOCS.pairs / SCIDOCS.queries, SCIDOCS.document + 2)],
    )
    dev = TRAININGS * DEV_EVALUATIONS * STACK_DEV
    pairs = [(TESTED * each.pairs, each.query + each.document + 4) for each in tests]
    stage(f"evaluate, {cross_encoder.name}, pairs", cross_encoder, [*pairs, (dev * 29.903, pair)])
    return stages


def print_estimate(arguments: argparse.Namespace) -> int:
    """Print the hours of every stage, and their sums, on the GPUs of `GPUS` or on one of `--tflops`."""
    gpus = {f"{arguments.tflops:g} TFLOP/s": arguments.tflops} if arguments.tflops else GPUS
    print(f"Calculated, not measured: hours at {arguments.utilisation:.0%} of the peak rate in bfloat16.\n")
    header = ["stage", "thousands", "tokens, M", "PFLOP", *(f"{name} ({peak:g})" for name, peak in gpus.items())]
    print(line(header), line(["---"] * len(header)), sep="\n")
    shown: set[str] = set()
    for size in ("8b", "0.6b", *PRESETS):
        stages = estimate(size)
        summed = [*stages[:2], *stages[3:]]  # without the line in brackets
        what = size if size in PRESETS else f"teachers of {size.upper()}"
        total = tuple(sum(each) for each in zip(*(figures for _, *figures in summed), strict=True))
        for name, texts, tokens, flops in (*stages, (f"**all, {what}**", total[0], total[1], total[2])):
            if name in shown:
                continue
            shown.add(name)
            hours = [flops / (peak * 1e12 * arguments.utilisation) / 3600 for peak in gpus.values()]
            cells = [f"{texts / 1e3:,.0f}", f"{tokens / 1e6:,.1f}", f"{flops / 1e15:,.0f}"]
            print(line([name, *cells, *(f"{each:.2f}" if each >= 1 else f"{each:.2g}" for each in hours)]))
    teachers = [shape for size in ("8b", "0.6b") for shape in SHAPES[size][:2]]
    print("\nWeights in bfloat16:", ", ".join(f"{each.name} {each.weights * 2e-9:.1f} GB" for each in teachers))
    return 0
