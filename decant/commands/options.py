"""What the options of several commands have in common."""

from collections.abc import Iterable

from decant.errors import DecantError


def columns_of(options: Iterable[str] | None) -> dict[str, str]:
    """Decant's names of columns → a file's own, of `--columns positive=good`; a DecantError for another form."""
    return dict(_pair(option) for option in options or ())


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise DecantError(f"--columns {text!r}: not of the form name=column", "write --columns positive=good")
    return key, value
