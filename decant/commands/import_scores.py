"""x"""


def import_scores() -> None:
    """x"""
