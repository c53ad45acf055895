"""Make a track's student as params.yaml describes it, and the scorer that evaluates it."""

from pathlib import Path

from sentence_transformers import CrossEncoder, SentenceTransformer

from decant.models.load import detect_kind, load_bi_encoder, load_cross_encoder
from decant.models.scorer import Scorer, resolve_prompts, scorer_of
from decant.models.settings import Student
from decant.models.students import initialise_head, keep_layers
from decant.params import Params
from decant.sources.references import model_folder


def make_student(params: Params, track: str) -> SentenceTransformer | CrossEncoder:
    """The student before training: layers left out, and for a reranker its fresh or published head."""
    model: SentenceTransformer | CrossEncoder
    if track == "embedding":
        embedding = params.embedding.student
        folder = _folder(embedding)
        model = load_bi_encoder(folder, max_length=embedding.max_length, trust_remote_code=embedding.trust_remote_code)
        # Saved with the model, so that it is used later as it was trained.
        query, document = resolve_prompts(model, embedding.query_prompt, embedding.document_prompt)
        model.prompts = {**model.prompts, "query": query, "document": document}
        layers = embedding.layers
    else:
        reranker = params.reranker.student
        folder = _folder(reranker)
        model = load_cross_encoder(
            folder,
            max_length=reranker.max_length,
            fresh_head=reranker.head == "fresh",
            trust_remote_code=reranker.trust_remote_code,
        )
        if reranker.head == "fresh":
            initialise_head(model, params.seed)
        layers = reranker.layers
    if layers is not None:
        keep_layers(model, layers)
    return model


def _folder(student: Student) -> Path:
    return model_folder(student.model, student.revision, student.sha256, code=student.trust_remote_code)


def load_student(folder: Path, trust_remote_code: bool = False) -> SentenceTransformer | CrossEncoder:
    """A saved checkpoint of either kind, found out from its files."""
    load = load_cross_encoder if detect_kind(folder) == "cross_encoder" else load_bi_encoder
    return load(folder, trust_remote_code=trust_remote_code)


def checkpoint_scorer(folder: Path, batch_size: int, trust_remote_code: bool = False) -> Scorer:
    """The scorer of a saved checkpoint of either kind."""
    return scorer_of(load_student(folder, trust_remote_code), batch_size)
