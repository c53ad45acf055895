"""A teacher's identity covers all that its scores depend on, the code that makes the tokens included."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from decant.score.prompts import EmbeddingPrompts, Prompt, Prompts, make_prompts
from decant.score.prompts.templates import Template
from decant.score.settings import Teacher
from decant.score.store.identity import CANONICAL, TASK, identity
from decant.sources.references import resolve
from tests.support import tiny_models as tiny

MINILM = resolve(tiny.MINILM)


def identity_of(teacher: Teacher, folder: Path = MINILM) -> dict[str, Any]:
    return identity(teacher, folder, make_prompts(teacher, folder))


def bi_encoder(**more: Any) -> Teacher:
    return tiny.teacher("bi_encoder", "sentence-transformers", MINILM, 64, **more)


def doubled(build: Callable[..., list[Prompt]]) -> Callable[..., list[Prompt]]:
    """The same prompts, each ending in one token more where it is as long as the limit."""

    def built(self: Prompts, *given: Any) -> list[Prompt]:
        made = build(self, *given)
        return [
            Prompt([*prompt.ids, 1] if len(prompt.ids) == self.max_length else prompt.ids, prompt.second, prompt.texts)
            for prompt in made
        ]

    return built


def test_a_change_of_how_long_documents_are_cut_makes_another_teacher(monkeypatch: pytest.MonkeyPatch) -> None:
    before = identity_of(bi_encoder())
    assert identity_of(bi_encoder()) == before
    monkeypatch.setattr(EmbeddingPrompts, "documents", doubled(EmbeddingPrompts.documents))
    after = identity_of(bi_encoder())
    assert after["tokens"] != before["tokens"]
    assert {**after, "tokens": before["tokens"]} == before


def test_a_change_of_the_rerankers_code_makes_another_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny.qwen3(tmp_path / "model", embedding=False)
    teacher = tiny.teacher("causal_lm", "transformers", folder, 300)
    before = identity_of(teacher, folder)
    texts = Template.texts
    monkeypatch.setattr(Template, "texts", lambda self, task, query, text: texts(self, task, query, text.lower()))
    after = identity_of(teacher, folder)
    assert after["tokens"] != before["tokens"]
    assert after["prompts"] == before["prompts"]  # whose placeholders do not show it


def test_texts_count_for_engines_that_send_them_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    server = {"url": "http://localhost:1", "api": "tei"}
    teachers = [bi_encoder(), tiny.teacher("bi_encoder", "server", MINILM, 64, server=server)]
    before = [identity_of(teacher)["tokens"] for teacher in teachers]
    monkeypatch.setattr(EmbeddingPrompts, "_cut", lambda _, text, _room: text[:5])
    after = [identity_of(teacher)["tokens"] for teacher in teachers]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False]


def test_batches_engines_and_kept_embeddings_are_no_part_of_it() -> None:
    assert identity_of(bi_encoder(batch_tokens=64, engines=3, embeddings=True)) == identity_of(bi_encoder())
    assert identity_of(bi_encoder(embeddings_dtype="float16")) != identity_of(bi_encoder())
    assert identity_of(bi_encoder(query_prompt="query: "))["tokens"] != identity_of(bi_encoder())["tokens"]


def test_the_canonical_pairs_reach_the_limit_and_those_without_room_are_left_out() -> None:
    prompts = make_prompts(bi_encoder(), MINILM)
    query, word = CANONICAL[-1]
    assert len(prompts.parts(query, word * prompts.max_length, TASK)["document"].ids) == prompts.max_length
    assert any("急" in query for query, _ in CANONICAL)
    narrow = tiny.teacher("cross_encoder", "sentence-transformers", MINILM, 6)
    assert not make_prompts(narrow, MINILM).of_texts
    assert identity_of(narrow)["tokens"]
