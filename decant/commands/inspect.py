"""`decant inspect`: what Decant understands of somebody's file or folder."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from decant.commands.options import columns_of
from decant.errors import DecantError
from decant.processes import run_main

if TYPE_CHECKING:
    from decant.data.sets import Row
    from decant.fetch.inspection import Inspection

WIDTH = 100  # characters of a text that are shown
CANDIDATES_SHOWN = 3


def inspect(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="a file, or a folder such as BEIR's")],
    format_: Annotated[str | None, typer.Option("--format", help="the layout, where it is not found out right")] = None,
    split: Annotated[str | None, typer.Option(help="of a folder, such as test")] = None,
    columns: Annotated[list[str] | None, typer.Option(help="positive=good reads the column `good` as positive")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="a column to leave aside")] = None,
    encoding: Annotated[str | None, typer.Option(help="of a text file, such as gbk")] = None,
    relevant_from: Annotated[int | None, typer.Option(min=1, help="the lowest grade of a positive")] = None,
    candidates: Annotated[str | None, typer.Option(help="of a set with qrels: judged, listed, run or bm25")] = None,
    run: Annotated[str | None, typer.Option(help="the TREC run of `--candidates run`")] = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="candidates of a run or a search, at most")] = None,
    duplicates: Annotated[str | None, typer.Option(help="of a query: keep, merge or refuse")] = None,
    add: Annotated[str | None, typer.Option(metavar="NAME", help="write the block into params.yaml")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the counts for programs")] = False,
) -> None:
    """Print what a file or folder holds, three rows as they will be read, and the block for params.yaml.

    Examples: `decant inspect data/own/faq.jsonl`, `decant inspect data/own/forum --candidates bm25 --add forum`.
    """

    def main() -> None:
        options = {
            "format": format_,
            "columns": columns_of(columns),
            "ignore": ignore,
            "encoding": encoding,
            "relevant_from": relevant_from,
            "candidates": candidates,
            "run": run,
            "top_k": top_k,
            "duplicates": duplicates,
        }
        given = {key: value for key, value in options.items() if value}
        found = _inspect(path, given, split)
        if add is not None:
            _add(add, found)
        if as_json:
            print(json.dumps(found.counts(), ensure_ascii=False, indent=2, default=str))
        else:
            print(_text(found, add))

    run_main("decant inspect", main)


def _inspect(path: Path, options: dict[str, Any], split: str | None) -> "Inspection":
    from pydantic import ValidationError

    from decant.fetch.inspection import inspect as look

    try:
        return look(path, options, split)
    except DecantError as error:
        if "set's block" in error.remedy:
            same = "`--columns positive=good`, `--ignore good` and `--encoding gbk` say the same to `decant inspect`"
            raise DecantError(error.problem, f"{error.remedy}; {same}") from error
        raise
    except ValidationError as error:
        faults = "; ".join(
            f"{_option(fault['loc'])}{fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_url=False)
        )
        raise DecantError(faults, "`decant inspect --help` lists the options") from error


def _option(keys: Sequence[int | str]) -> str:
    """The option that gives a key of the block; nothing for a fault of several keys."""
    return f"--{'-'.join(map(str, keys)).replace('_', '-')}: " if keys else ""


def _add(name: str, found: "Inspection") -> None:
    """Write the block into params.yaml, below `datasets:`, and leave the rest of the file as it is.

    Raises:
        DecantError: a set has the name already, or params.yaml would not be valid.
    """
    from decant import paths
    from decant.files import atomic_file
    from decant.params import load_params, parse_params

    if not found.block:
        raise DecantError(f"{found.path} is no set of its own", "\n".join(found.notes))
    if name in load_params(paths.PARAMS).datasets:
        raise DecantError(f"{paths.PARAMS} has a data set {name!r} already", "choose another name")
    text = paths.PARAMS.read_text(encoding="utf-8")
    place = re.search(r"^datasets:[ \t]*(#.*)?\n", text, re.MULTILINE)
    if place is None:
        raise DecantError(f"{paths.PARAMS}: no line is `datasets:` alone", "write the block there yourself")
    changed = text[: place.end()] + "".join(f"{line}\n" for line in _block(name, found.block)) + text[place.end() :]
    parse_params(changed, str(paths.PARAMS))
    with atomic_file(paths.PARAMS) as partial:
        partial.write_text(changed, encoding="utf-8")


def _block(name: str, block: dict[str, Any]) -> list[str]:
    import yaml

    lines = [f"  {name}:"]
    for key, value in block.items():
        if isinstance(value, dict | list):
            lines.append(f"    {key}: {yaml.safe_dump(value, allow_unicode=True, default_flow_style=True).strip()}")
        else:
            lines.append("    " + yaml.safe_dump({key: value}, allow_unicode=True, width=1000).strip())
    return lines


def _text(found: "Inspection", added: str | None) -> str:
    lines = [str(found.path), *(f"  {name:<12}{value}" for name, value in _facts(found))]
    if found.faults.total:
        lines += ["", found.faults.described()]
    for row in found.rows:
        lines += ["", *_row(row)]
    if found.block:
        where = "Written into params.yaml" if added else "For params.yaml, under `datasets`"
        lines += ["", f"{where}:", "", *_block(added or "mine", found.block)]
    return "\n".join([*lines, *([""] if found.notes else []), *found.notes])


def _facts(found: "Inspection") -> list[tuple[str, object]]:
    card = found.faults.card()
    facts: list[tuple[str, object]] = [
        ("layout", found.layout + (f", split {found.split}" if found.split not in ("", found.path.name) else "")),
        *((name, getattr(found, name)) for name in ("queries", "positives", "negatives")),
        ("unlabelled", found.candidates),
        ("grades", ", ".join(f"{grade}: {found.grades[grade]}" for grade in sorted(found.grades))),
        ("ids", found.ids),
        ("scores", found.scores),
        (
            "lengths",
            "; ".join(
                f"{role}: {numbers['median']:g} characters, at most {numbers['longest']:,}"
                for role, numbers in found.lengths.items()
            ),
        ),
        ("unused", "; ".join(f"{name}, such as {str(value)[:40]!r}" for name, value in found.unused.items())),
        ("left out", "; ".join(f"{reason}: {count}" for reason, count in card["not_judged"].items())),
        ("repeated", card["repeated_candidates"]),
        ("near", f"{card['near_duplicates']} negatives nearly equal a positive" if card["near_duplicates"] else ""),
    ]
    always = ("queries", "positives", "negatives")
    return [*((name, value) for name, value in facts if value or name in always), ("faults", found.faults.total)]


def _row(row: "Row") -> list[str]:
    marked = [*(("+", text) for text in row.positive[:CANDIDATES_SHOWN])]
    marked += [("−", text) for text in row.negative[:CANDIDATES_SHOWN]]
    marked += [("?", text) for text in row.unlabelled[:CANDIDATES_SHOWN]]
    more = len(row.candidates) - len(marked)
    lines = [f"  query  {_cut(row.query)}", *(f"    {mark} {_cut(text)}" for mark, text in marked)]
    return [*lines, f"    … {more} more"] if more else lines


def _cut(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= WIDTH else f"{shown[: WIDTH - 1]}…"
