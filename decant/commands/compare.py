"""x"""


def compare() -> None:
    """x"""
