"""`decant params`: what params.yaml may hold, written from the settings of the rooms."""

import json
import textwrap
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from decant.blocks import Block, OneOf, blocks_in
from decant.processes import run_main

PAGE = Path("docs/params.md")
MARKS = "<!-- keys: by `decant params --write` -->", "<!-- end of keys -->"
WORDS = {bool: "`true`, `false`", int: "a whole number", float: "a number", str: "a text", type(None): "null"}


def params(
    write: Annotated[bool, typer.Option("--write", help=f"Write the tables into {PAGE}.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only validate params.yaml.")] = False,
) -> None:
    """Print every key of params.yaml: what it means, what it may be, and its default.

    Examples: `decant params`, `decant params --check`, `decant params --write`.
    """

    def main() -> None:
        from decant import paths
        from decant.files import atomic_file
        from decant.params import load_params

        if check:
            load_params(paths.PARAMS)
            print(f"{paths.PARAMS} is valid")
        elif write:
            with atomic_file(PAGE) as partial:
                partial.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        else:
            print(tables())

    run_main("decant params", main)


def page(text: str) -> str:
    """The page with its tables written anew between the two marks."""
    before, _, rest = text.partition(MARKS[0])
    return f"{before}{MARKS[0]}\n\n{tables()}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}"


def tables() -> str:
    """A Markdown list for each block of params.yaml."""
    from decant.params import schema

    return "\n".join(_block("", schema(), {}))


def _block(path: str, block: type[BaseModel], shown: dict[str, str]) -> Iterator[str]:
    """The table of a block, then those of the blocks in it; what is like an earlier one is named, not repeated."""
    fields = block.model_fields
    likeness = _likeness(block)
    yield from (f"## {f'`{path}`' if path else 'The whole file'}", "")
    yield " ".join((block.__doc__ or "").split("\n\n")[0].split())
    if likeness in shown:
        yield from (f"Its keys are those of `{shown[likeness]}`.", "")
        return
    shown[likeness] = path
    base = next((base for base in block.__mro__[1:] if issubclass(base, Block) and _likeness(base) in shown), None)
    if base is not None:
        yield f"It has the keys of `{shown[_likeness(base)]}`, and these:"
        fields = {name: field for name, field in fields.items() if name not in base.model_fields}
    yield ""
    inner: list[tuple[str, type[BaseModel]]] = []
    for name, field in fields.items():
        blocks = list(blocks_in(field.annotation))
        key = f"{path.partition(' ')[0]}.{name}".lstrip(".")
        origin = get_origin(field.annotation)
        key += ".NAME" if origin is dict else ".NUMBER" if origin is list else ""
        inner += [(key if one is blocks[0] else f"{key} ({one.__name__})", one) for one in blocks]
        kinds = "a list of blocks" if origin is list else "a block"
        nullable = ", or null" if type(None) in get_args(field.annotation) else ""
        allowed = f"{kinds}{nullable}" if blocks else _allowed(field.annotation, field.metadata)
        text = f"- `{name}` ({allowed}; {_default(field)}). {field.description or ''}"
        yield from textwrap.wrap(text, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    yield ""
    for key, one in inner:
        yield from _block(key, one, shown)


def _likeness(block: type[BaseModel]) -> str:
    """What two blocks of the same keys have in common."""
    return repr([(name, field.annotation) for name, field in block.model_fields.items()])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "default as below"
    return f"default `{value if isinstance(value, str) else json.dumps(value)}`"


def _allowed(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """What a value may be, in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _allowed(parts[0], parts[1:])
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return ", ".join(map(_allowed, parts))
    if origin in (list, dict):
        return f"{'a list of' if origin is list else 'a mapping to'} {_allowed(parts[-1])}"
    functions = [part.func for part in metadata if isinstance(part, AfterValidator)]
    if names := [f"`{name}`" for function in functions if isinstance(function, OneOf) for name in function.names]:
        return ", ".join(names)
    limits = [part for limit in metadata for part in getattr(limit, "metadata", None) or [limit]]
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    bounds = [f"{sign} {getattr(part, key):g}" for part in limits for key, sign in signs.items() if hasattr(part, key)]
    return f"{WORDS[annotation]} {' and '.join(bounds)}".strip()
