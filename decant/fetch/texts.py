"""What is wrong with a single text."""

import re
import sys
import unicodedata
from typing import Any

# White space, control, format and private characters, and those that show as a blank.
UNSEEN = [
    chr(code)
    for code in range(sys.maxunicode + 1)
    if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
]
UNSEEN += "\u115f\u1160\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))
VISIBLE = re.compile(f"[^{''.join(map(re.escape, UNSEEN))}]")
"""One that is seen."""
_HALF_PAIR = re.compile(r"[\ud800-\udfff]")


def fault_of(key: str, value: Any) -> tuple[str, str] | None:
    """The kind of fault of what should be a text, a name in `decant.fetch.faults.KINDS`, and a message that says `key`.

    None for a text without a fault.
    """
    if not isinstance(value, str):
        return "not_a_string", f"`{key}` is {short(value)}, not a string"
    if _HALF_PAIR.search(value):
        return "broken_text", f"`{key}` holds half of a surrogate pair"
    if not VISIBLE.search(value):
        return "invisible", f"`{key}` is {short(ascii(value)) if value else 'an empty string'}"
    return None


def short(value: Any) -> str:
    """A value for a message, cut where it is long."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"
