"""How the report writes its figures."""

from collections.abc import Mapping


def millions(count: int, unit: str, digits: int = 0) -> str:
    """A count in millions; an en dash for 0: the weights of a teacher behind HTTP are not here to be counted."""
    return f"{count / 1e6:.{digits}f} {unit}" if count else "–"


def spread(values: Mapping[str, float] | None, digits: int = 0) -> str:
    """The median of several timings and their range; an en dash where nothing was timed."""
    if values is None:
        return "–"
    return "{median:.{d}f} ({low:.{d}f} … {high:.{d}f})".format(**values, d=digits)


def signed(value: float) -> str:
    """A difference with its sign, to 4 decimals."""
    return f"{value:+.4f}"


def interval(mean: float, low: float, high: float, **_: float) -> str:
    """A difference and its interval, with their signs."""
    return f"{signed(mean)} ({signed(low)} … {signed(high)})"


def percent(value: float | None, *, plus: bool = False, digits: int = 1) -> str:
    """A share as a percentage; an en dash where there is none."""
    return "–" if value is None else f"{value:{'+' if plus else ''}.{digits}%}".replace("%", " %")


def correlation(value: float | None) -> str:
    """A correlation to 2 decimals; an en dash where there is none."""
    return "–" if value is None else f"{value:+.2f}"


def p_value(value: float, resamples: int, tests: int = 1) -> str:
    """A p-value, adjusted for `tests` of them, bounded below by what the number of resamples can tell."""
    least = 2 * tests / (resamples + 1)
    return f"≤ {least:.4f}" if value <= least < 1 else f"{value:.4f}"


def shared(counts: Mapping[str, int] | None) -> str:
    """Texts that a split shares: exactly, folded and nearly, of how many; an en dash where it was not counted."""
    if counts is None:
        return "–"
    return f"{counts['exact']} / {counts['folded']} / {counts['near']} of {counts['texts']}"
