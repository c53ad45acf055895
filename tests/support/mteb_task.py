"""A retrieval task of MTEB's, on a handful of texts, that needs no hub."""

from typing import Any

from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata

DOCUMENTS = {
    "d1": "Sort a list in place, in ascending order.",
    "d2": "Return the inverse of a square matrix.",
    "d3": "Open a file and return a stream.",
    "d4": "Solve a linear system of equations.",
    "d5": "Arrange the items of a sequence by size.",
    "d6": "Read all lines of a text file.",
    "d7": "Compute the determinant of a matrix.",
    "d8": "The weather is nice today.",
}
QUERIES = {
    "q1": "how to put the numbers of a list in order",
    "q2": "invert a matrix",
    "q3": "read a file line by line",
    "q4": "what a matrix's determinant is",
}
QRELS = {"q1": {"d1": 1, "d5": 1}, "q2": {"d2": 1, "d4": 1}, "q3": {"d6": 1, "d3": 1}, "q4": {"d7": 1}}


class SmallRetrieval(AbsTaskRetrieval):  # type: ignore[misc]
    metadata = TaskMetadata(
        name="SmallRetrieval",
        description="Documentation of functions.",
        dataset={"path": "nobody/small", "revision": "0" * 40},
        type="Retrieval",
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
        prompt={"query": "find the function that does this"},
        date=("2026-01-01", "2026-01-01"),
        domains=["Programming"],
        task_subtypes=[],
        license="cc0-1.0",
        annotations_creators="derived",
        dialect=[],
        sample_creation="created",
        bibtex_citation="",
    )

    def load_data(self, *_: Any, **__: Any) -> None:
        self.dataset = {
            "default": {
                "test": {
                    "corpus": Dataset.from_list([{"id": key, "text": text} for key, text in DOCUMENTS.items()]),
                    "queries": Dataset.from_list([{"id": key, "text": text} for key, text in QUERIES.items()]),
                    "relevant_docs": {query: dict(documents) for query, documents in QRELS.items()},
                    "top_ranked": None,
                }
            }
        }
        self.data_loaded = True


class SmallReranking(SmallRetrieval):
    metadata = SmallRetrieval.metadata.model_copy(
        update={"name": "SmallReranking", "type": "Reranking", "main_score": "map_at_1000"}
    )

    def load_data(self, *_: Any, **__: Any) -> None:
        super().load_data()
        self.dataset["default"]["test"]["top_ranked"] = {query: list(DOCUMENTS) for query in QUERIES}
