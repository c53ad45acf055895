"""A set's task, and the query prompt that may have come with it."""

from typing import Self


class Task(str):
    """A set's task text, which fills `{task}` in a model's query prompt.

    Attributes:
        prompt: the query prompt that came with the rows, for a teacher that has none of its own; empty for none.
    """

    prompt: str

    def __new__(cls, text: str, prompt: str = "") -> Self:
        """A task's text with a prompt."""
        task = super().__new__(cls, text)
        task.prompt = prompt
        return task

    def __reduce__(self) -> tuple[type["Task"], tuple[str, str]]:
        return Task, (str(self), self.prompt)

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True and self.prompt == getattr(other, "prompt", "")

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)
