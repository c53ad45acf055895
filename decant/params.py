"""Read and validate params.yaml, with clear words for every fault."""

import difflib
import io
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from decant.errors import DecantError
from decant.schema import DataSet, Params, Student

__all__ = ["Params", "Student", "load_params", "parse_params"]


def load_params(path: Path) -> Params:
    """Read and validate a params file.

    Raises:
        DecantError: the file is missing, no YAML, or breaks the schema; every fault is listed with its key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DecantError(
            f"{path}: there is no such file", "run in the project's folder, or `git checkout -- params.yaml`"
        ) from error
    except UnicodeDecodeError as error:
        raise DecantError(f"{path}: not UTF-8 ({error.reason})", "save the file as UTF-8") from error
    return parse_params(text, str(path))


def parse_params(text: str, name: str = "params.yaml") -> Params:
    """Validate the text of a params file; see `load_params`.

    A YAML 1.2 reader is used, for which `2e-05`, as DVC writes it, is a number.
    """
    try:
        content = YAML(typ="safe", pure=True).load(io.StringIO(text))
    except RecursionError as error:
        raise DecantError(f"{name}: nested too deeply", "keep to the keys of the presets") from error
    except YAMLError as error:
        raise DecantError(f"{name}: not valid YAML\n{error}", "mend the line that the message names") from error
    except Exception as error:  # the reader raises errors of any kind for a value that its tag or its date belies
        raise DecantError(
            f"{name}: not valid YAML ({type(error).__name__}: {error})", "mend the tags (!!…), dates and numbers in it"
        ) from error
    if not isinstance(content, dict):
        raise DecantError(f"{name}: the file holds no keys", "start from a preset: `cp presets/qwen3.yaml params.yaml`")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        faults = "\n".join(f"  {_explain(fault)}" for fault in error.errors(include_url=False))
        raise DecantError(
            f"{name}:\n{faults}", "correct the keys named above; docs/params.md lists them all"
        ) from error


def _explain(fault: Any) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(fault["loc"][-1]), _keys_at(fault["loc"][:-1]), n=1)
        return f"{path}: unknown key" + (f"; did you mean `{close[0]}`?" if close else "")
    if fault["type"] == "missing":
        return f"{path}: missing; every key is written out, null meaning 'inherit' or 'none'"
    message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if fault["type"] == "value_error":
        return f"{path}: {message}" if path else message
    return f"{path}: found {fault['input']!r}, allowed: {message}"


def _keys_at(location: tuple[Any, ...]) -> list[str]:
    """The keys that the schema has at a place; a set's name, under `datasets`, leads to `DataSet`."""
    block: type[BaseModel] = Params
    for part in location:
        field = block.model_fields.get(part)
        inner = field.annotation if field else DataSet
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            block = inner
    return list(block.model_fields)
