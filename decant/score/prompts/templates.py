"""The templates of causal language models as rerankers, each to the letter of its model's own code.

A new template is one entry in `TEMPLATES`, and its name in `decant.score.settings.Teacher.template`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Template:
    """What a model reads of a task, a query and a document, and which tokens its answer is read from.

    Its texts are tokenized one by one, as the model's own code does: no token reaches over the border of two.

    Args:
        prefix: the text before the query.
        body: the texts that hold `{query}` and, in the last one, `{document}`; `{instruct}` where a task has a place.
        suffix: the texts behind the document.
        yes: the answer whose logit is the score.
        no: the answer whose logit is taken off it; None takes off nothing.
        instruct: what stands for a task, with `{task}` in it.
        default_task: stands for a task that is empty; without it there is no instruct then.
        starts: whether the tokenizer's token for the beginning stands first, where it has one that is no padding.
        vllm_type: the `model_type` in config.json of the models that vLLM can score with it.
        vllm: the `hf_overrides` which have vLLM score so.
    """

    prefix: str
    body: tuple[str, ...]
    suffix: tuple[str, ...]
    yes: str
    no: str | None
    instruct: str = ""
    default_task: str = ""
    starts: bool = False
    vllm_type: str = ""
    vllm: Mapping[str, Any] = field(default_factory=dict)

    def task(self, task: str) -> str:
        """The task as the model reads it; empty where it reads none."""
        return (task or self.default_task) if self.instruct else ""

    def texts(self, task: str, query: str, document: str) -> list[str]:
        """The texts of the body for one pair."""
        filled = self.task(task)
        instruct = self.instruct.format(task=filled) if filled else ""
        return [text.format(instruct=instruct, query=query, document=document) for text in self.body]

    def described(self) -> dict[str, Any]:
        """All of it that scores depend on, tokens left aside."""
        pair = self.prefix + "".join(self.texts("{task}", "{query}", "{document}")) + "".join(self.suffix)
        usual = (self.yes, self.no) == ("yes", "no")  # unsaid, so that scores from before there were others stay valid
        return {"pair": pair} if usual else {"pair": pair, "answers": [self.yes, self.no]}


# Its model card: https://huggingface.co/Qwen/Qwen3-Reranker-8B
QWEN3 = Template(
    prefix=(
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    ),
    body=("{instruct}<Query>: {query}\n<Document>: {document}",),
    suffix=("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",),
    yes="yes",
    no="no",
    instruct="<Instruct>: {task}\n",
    default_task="Given a web search query, retrieve relevant passages that answer the query",
    vllm_type="qwen3",
    vllm={
        "architectures": ["Qwen3ForSequenceClassification"],
        "classifier_from_token": ["no", "yes"],
        "is_original_qwen3_reranker": True,
    },
)

# FlagLLMReranker, which the card of BAAI/bge-reranker-v2-gemma names:
# https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/reranker/decoder_only/base.py
GEMMA = Template(
    prefix="",
    body=("A: {query}", "\n", "B: {document}"),
    suffix=(
        "\n",
        "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
        "prediction of either 'Yes' or 'No'.",
    ),
    yes="Yes",
    no=None,
    starts=True,
    vllm_type="gemma",
    vllm={
        "architectures": ["GemmaForSequenceClassification"],
        "classifier_from_token": ["Yes"],
        "method": "no_post_processing",
    },
)

# The package of mixedbread-ai/mxbai-rerank-base-v2 and -large-v2:
# https://github.com/mixedbread-ai/mxbai-rerank/blob/main/mxbai_rerank/mxbai_rerank_v2.py
MXBAI = Template(
    prefix=(
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n"
    ),
    body=("{instruct}query: {query}", "\n", "document: {document}"),
    suffix=(
        "\n",
        "You are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
        "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:",
        "<|im_end|>\n<|im_start|>assistant\n",
    ),
    yes="1",
    no="0",
    instruct="instruction: {task}\n",
    vllm_type="qwen2",
    vllm={
        "architectures": ["Qwen2ForSequenceClassification"],
        "classifier_from_token": ["0", "1"],
        "method": "from_2_way_softmax",
    },
)

TEMPLATES: Mapping[str, Template] = {"qwen3": QWEN3, "gemma": GEMMA, "mxbai": MXBAI}
