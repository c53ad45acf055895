"""Whatever params.yaml holds, it parses or the fault is told."""

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from decant.errors import DecantError
from decant.params import load_params, parse_params
from tests.support.params_texts import COMMIT, TEXT, document, dump

FUZZ = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def parses_or_tells(text: str) -> None:
    """The one alternative to valid params is a message."""
    try:
        parse_params(text)
    except DecantError as error:
        told = error
    else:
        return
    assert told.problem.startswith("params.yaml")
    assert told.remedy


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.dates()
    | st.sampled_from([0, 1, 0.5, "hub:a/b", "null", "icd10", COMMIT, "a" * 64]),  # what is valid somewhere
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=5,
)


def blocks_of(content: Any) -> list[Any]:
    """Every mapping and list, the document first."""
    inner = content.values() if isinstance(content, dict) else content
    return [content, *(block for value in inner if isinstance(value, dict | list) for block in blocks_of(value))]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    content = document()
    for _ in range(draw(st.integers(1, 3))):
        blocks = blocks_of(content)
        block = blocks[draw(st.integers(0, len(blocks) - 1))]
        keys = list(block) if isinstance(block, dict) else list(range(len(block)))
        action = draw(st.sampled_from(["replace", "delete", "insert"])) if keys else "insert"
        if action == "insert" and isinstance(block, list):
            block.append(draw(values))
        elif action == "insert":
            block[draw(st.text(max_size=8) | st.sampled_from(["lr", "train", "icd10"]) | st.integers())] = draw(values)
        else:
            key = draw(st.sampled_from(keys))
            if action == "delete":
                del block[key]
            else:
                block[key] = draw(values)
    return dump(content)


@FUZZ
@given(mutated())
def test_however_the_valid_params_are_changed_they_parse_or_the_fault_is_told(text):
    parses_or_tells(text)


@FUZZ
@given(
    text=st.text(max_size=40) | st.text(alphabet="!&*{}[]:-?|>%@'\"#,=~<. \n\tabn01", max_size=40),
    place=st.integers(0, len(TEXT)),
    alone=st.booleans(),
)
@example("!!bool x", TEXT.index("0\n"), False)
def test_whatever_text_the_file_holds_it_parses_or_the_fault_is_told(text, place, alone):
    parses_or_tells(text if alone else TEXT[:place] + text + TEXT[place:])


@FUZZ
@given(content=st.binary(max_size=60))
def test_whatever_bytes_the_file_holds_the_fault_is_told(tmp_path, content):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(DecantError):
        load_params(tmp_path / "params.yaml")
