"""Markdown on a terminal: its tables in columns, and changes that an interval tells from 0 in colour."""

import os
import re
import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

CHANGE = re.compile(r"[+-]\d+\.\d+ \((?P<low>[+-]\d+\.\d+) … (?P<high>[+-]\d+\.\d+)\)")
NUMBER = re.compile(r"[≤+-]?\s?\d.*|–")


def show(markdown: str, console: Console | None = None) -> None:
    """Print Markdown: as it is into a pipe and in CI, else with its tables drawn.

    A table that is wider than the terminal stays as it is. Green is an interval above 0, red one below it. NO_COLOR and
    TERM=dumb leave colours out.
    """
    console = console or Console(highlight=False)
    if not console.is_terminal or os.environ.get("CI"):
        console.file.write(f"{markdown}\n")
        return
    for block in markdown.strip("\n").split("\n\n"):
        drawn = _drawn(block) if block.startswith("| ") else Text(block)
        wide = Measurement.get(console, console.options.update(max_width=sys.maxsize), drawn).maximum > console.width
        console.print(Text(block) if wide else drawn)  # a narrow terminal would cut the figures of a wide table
        console.print()


def _drawn(block: str) -> Table:
    headers, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines())
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, header in enumerate(headers):
        numbers = all(NUMBER.fullmatch(row[number]) for row in rows)
        table.add_column(header, justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(Text(cell, _style(cell)) for cell in row))
    return table


def _style(cell: str) -> str:
    if (change := CHANGE.fullmatch(cell)) is None:
        return ""
    return "green" if float(change["low"]) > 0 else "red" if float(change["high"]) < 0 else ""
