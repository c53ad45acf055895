"""The one error that Decant shows its users without a traceback."""


class DecantError(Exception):
    """A fault that its user can mend.

    Args:
        problem: what is wrong and where (file, row, key).
        remedy: what to do about it, as an instruction.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}\n  → {remedy}")
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[type["DecantError"], tuple[str, str]]:
        return type(self), (self.problem, self.remedy)  # so that it crosses from one process to another
