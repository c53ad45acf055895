"""Several teachers in params.yaml: what makes an ensemble, what is refused, and what tells two ensembles apart."""

from typing import Any

import pytest

from decant.experiments.grids import digest
from decant.params import parse_params
from decant.score.settings import Teacher
from tests.support.params_texts import document, dump, refusal

ONE = {"kind": "bi_encoder", "engine": "sentence-transformers", "model": "path:one", "max_length": 64}
OTHER = {**ONE, "model": "path:other"}
CROSS = {**OTHER, "kind": "cross_encoder"}


def with_teacher(teacher: Any, adapt: Any = None) -> str:
    content = document()
    content["embedding"].update(teacher=teacher, adapt=adapt)
    return dump(content)


def ensemble(*members: Any, **more: Any) -> dict[str, Any]:
    return {"ensemble": list(members), "embeddings": True, **more}


def test_members_are_teachers_and_weights_are_shares() -> None:
    teacher = parse_params(with_teacher(ensemble({**ONE, "weight": 3}, OTHER))).track("embedding").teacher
    assert teacher.shares == [0.75, 0.25]
    assert teacher.members == [Teacher.model_validate({**block, "embeddings": True}) for block in (ONE, OTHER)]


@pytest.mark.parametrize(
    ("teacher", "told"),
    [
        (ensemble(ONE), "embedding.teacher: `ensemble` lists 1 teacher, and two or more make one: add one, or put"),
        (ensemble(), "embedding.teacher: `ensemble` lists 0 teachers"),
        (
            ensemble({**ONE, "weight": 0}, OTHER),
            "embedding.teacher.ensemble.0.weight: found 0, allowed: greater",
        ),
        (ensemble(ONE, {**OTHER, "weight": -1.5}), "embedding.teacher.ensemble.1.weight: found -1.5, allowed: greater"),
        (ensemble(ONE, {**OTHER, "weight": None}), "embedding.teacher.ensemble.1.weight: found None, allowed: a valid"),
        (
            ensemble(ONE, CROSS),
            "embedding.teacher: `embeddings` is true, and teacher 2 is a cross_encoder, which",
        ),
        (ensemble(ONE, ensemble(ONE, OTHER)), "embedding.teacher.ensemble.1: an ensemble is no member of another"),
        (ensemble(ONE, {**OTHER, "embeddings": True}), "embedding.teacher: teacher 2 sets `embeddings`, which all or"),
        (ensemble(ONE, OTHER, kind="bi_encoder"), "embedding.teacher: beside `ensemble` stands `kind`, which is one"),
        (ensemble(ONE, OTHER, embeddings=False), "embedding: loss.name is embed_distill, which needs the teacher's"),
        # what is refused of a teacher is refused of a member, and a key that is misspelt is looked for in its block
        (ensemble(ONE, {**OTHER, "engine": "transformers"}), "embedding.teacher.ensemble.1: the engine transformers"),
        (
            ensemble(ONE, {**OTHER, "wieght": 2}),
            "embedding.teacher.ensemble.1.wieght: unknown key; did you mean `wei",
        ),
        (ensemble(ONE, OTHER, embedings=1), "embedding.teacher.embedings: unknown key; did you mean `embeddings`?"),
        ({**ONE, "ensembel": []}, "embedding.teacher.ensembel: unknown key; did you mean `ensemble`?"),
        ({**ONE, "max_len": 1}, "embedding.teacher.max_len: unknown key; did you mean `max_length`?"),
        (ensemble(ONE, {"model": "path:a"}), "embedding.teacher.ensemble.1.kind: missing"),
        (None, "embedding.teacher: found None, allowed:"),
    ],
)
def test_what_is_no_ensemble_is_refused(teacher: Any, told: str) -> None:
    assert f"\n  {told}" in refusal(with_teacher(teacher))


def test_an_adapted_teacher_may_be_a_member_and_needs_to_be_one() -> None:
    adapted = {**ONE, "model": "path:data/teachers/embedding"}
    content = document()["embedding"]
    adapt = {"teacher": ensemble(ONE, OTHER), "student": {"model": "path:m", "max_length": 64}, "train": {}}
    adapt |= {name: content[name] for name in ("triplets", "loss")}
    params = parse_params(with_teacher(ensemble(ONE, adapted), adapt))
    assert len(params.track("embedding").adapting.teacher.members) == 2
    told = "embedding.teacher.model is path:one and path:"
    assert f"{told}data/teachers/embedding, and embedding.adapt is null" in refusal(
        with_teacher(ensemble(ONE, adapted))
    )
    assert f"{told}other, and embedding.adapt trains one" in refusal(with_teacher(ensemble(ONE, OTHER), adapt))


def test_weights_decide_a_student_and_the_members_speed_does_not() -> None:
    def of(**more: Any) -> str:
        return digest(parse_params(with_teacher(ensemble(ONE, {**OTHER, **more}))), "embedding")

    assert of(weight=2) != of() != of(model="path:third")
    assert of(batch_tokens=500, engines=2) == of() == of(weight=1)
