"""The teacher as a scorer whose speed can be measured beside the student's."""

import os
from contextlib import AbstractContextManager

from decant.models.scorer import Scorer
from decant.score.settings import StoreSettings, Teacher


def timed_teacher(teacher: Teacher, store: StoreSettings) -> AbstractContextManager[Scorer] | str:
    """What opens the teacher, or the reason why it is not timed: it has not run on this machine, or must not start."""
    if os.environ.get("DECANT_TEACHER") == "never":
        return "DECANT_TEACHER=never forbids the teacher to start"
    raise NotImplementedError(teacher, store)
