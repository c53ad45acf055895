"""The committed params, as text and as plain data, for tests to change."""

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def document() -> Any:
    return YAML(typ="safe", pure=True).load(TEXT)


def dump(content: Any) -> str:
    buffer = io.StringIO()
    YAML(typ="safe", pure=True).dump(content, buffer)
    return buffer.getvalue()
