"""x"""


def ablate() -> None:
    """x"""
