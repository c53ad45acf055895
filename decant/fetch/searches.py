"""Searches of a corpus: by BM25, and by a bi-encoder's embeddings."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from decant.models.prompts import choose_prompts
from decant.progress import progress

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Queries, a number k, and the queries' task → for each query the places of its k best texts in the corpus, the best
# first.
Search: TypeAlias = Callable[[Sequence[str], int, str], list[list[int]]]


def make_searches(method: str, texts: Sequence[str], make_model: Callable[[], "SentenceTransformer"]) -> list[Search]:
    """The searches of a method: see `decant.fetch.settings.Mine`. A model is made only if the method needs one."""
    searches = [] if method in ("dense", "student") else [bm25_search(texts)]
    return searches if method == "bm25" else [*searches, dense_search(texts, make_model())]


def bm25_search(texts: Sequence[str]) -> Search:
    """Rank by BM25, equal scores in the order of the texts; a text that shares no word with a query is not found."""
    from decant.data.bm25 import BM25

    index = BM25(texts)

    return lambda queries, count, _: [index.best(query, count)[0].tolist() for query in queries]


def dense_search(texts: Sequence[str], model: "SentenceTransformer") -> Search:
    """Rank by the cosine of a bi-encoder's embeddings, with its own prompts; the task fills `{task}` in the query's."""
    import torch  # slow to import, as are these
    from sentence_transformers import util

    from decant.models.batches import token_budget
    from decant.models.bi_encoder import embed

    query_prompt, document_prompt = choose_prompts(model.prompts)
    budget = token_budget(model, None)
    with progress(len(texts), "texts") as bar:
        embeddings = torch.from_numpy(embed(model, texts, document_prompt, budget, bar.update)).to(model.device)

    def search(queries: Sequence[str], count: int, task: str) -> list[list[int]]:
        found = embed(model, queries, query_prompt.replace("{task}", task), budget, lambda _: None)
        embedded = torch.from_numpy(found).to(model.device)
        results = util.semantic_search(embedded, embeddings, top_k=count, score_function=util.dot_score)
        return [[hit["corpus_id"] for hit in hits] for hits in results]

    return search
