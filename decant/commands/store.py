"""x"""


def store() -> None:
    """x"""
