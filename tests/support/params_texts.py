"""The committed params, as text and as plain data, for tests to change."""

import io
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from decant.errors import DecantError
from decant.params import parse_params

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def document() -> Any:
    return YAML(typ="safe", pure=True).load(TEXT)


def dump(content: Any) -> str:
    buffer = io.StringIO()
    YAML(typ="safe", pure=True).dump(content, buffer)
    return buffer.getvalue()


def edited(**changes: Any) -> str:
    """The committed params with values changed; a key is a path whose dots are written as `__`."""
    content = document()
    for path, value in changes.items():
        *blocks, key = path.split("__")
        block = content
        for name in blocks:
            if block.get(name) is None:
                block[name] = {}
            block = block[name]
        block[key] = value
    return dump(content)


def refusal(text: str) -> str:
    with pytest.raises(DecantError) as caught:
        parse_params(text)
    assert caught.value.remedy
    return caught.value.problem
