"""A set's task, and the query prompt that may have come with it; of a union, those of its sets."""

import json
from collections.abc import Mapping
from typing import Self, TypeVar

TaskText = TypeVar("TaskText", bound=str)


class Task(str):
    """A set's task text, which fills `{task}` in a model's query prompt.

    Attributes:
        prompt: the query prompt that came with the rows, for a teacher that has none of its own; empty for none.
        sets: the tasks of a union's sets by their names; empty where the set is no union.
    """

    prompt: str
    sets: Mapping[str, "Task"]

    def __new__(cls, text: str, prompt: str = "", sets: Mapping[str, "Task"] = {}) -> Self:
        """A task's text with a prompt, or the tasks of a union's sets."""
        task = super().__new__(cls, text)
        task.prompt, task.sets = prompt, dict(sets)
        return task

    def __reduce__(self) -> tuple[type["Task"], tuple[str, str, Mapping[str, "Task"]]]:
        return Task, (str(self), self.prompt, self.sets)

    def __eq__(self, other: object) -> bool:
        same = self.prompt == getattr(other, "prompt", "") and self.sets == getattr(other, "sets", {})
        return str.__eq__(self, other) is True and same

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)


def task_of(task: TaskText, name: str) -> TaskText | Task:
    """The task of a row that comes from the set of this name; the task itself where the split is no union's."""
    return task.sets[name] if isinstance(task, Task) and task.sets else task


def to_metadata(task: str) -> dict[str, str]:
    """What a split's file says of its task; see `from_metadata`."""
    sets = task.sets if isinstance(task, Task) else {}
    found = {name: [str(each), each.prompt] for name, each in sets.items()}
    return {"task": str(task), **({"tasks": json.dumps(found, ensure_ascii=False)} if found else {})}


def from_metadata(metadata: Mapping[bytes, bytes] | None) -> Task:
    """The task that a split's file has in its metadata."""
    text, prompt, sets = ((metadata or {}).get(key, b"").decode() for key in (b"task", b"prompt", b"tasks"))
    return Task(text, prompt, {name: Task(*each) for name, each in json.loads(sets or "{}").items()})
