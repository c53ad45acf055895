"""The teacher as a scorer whose speed is measured beside the student's."""

from contextlib import AbstractContextManager

from decant.models.scorer import Scorer
from decant.score.settings import StoreSettings, Teacher
from decant.score.work import has_run_here, teacher_folder, teacher_forbidden


def timed_teacher(teacher: Teacher, store: StoreSettings) -> AbstractContextManager[Scorer] | str:
    """Opens the teacher; or the reason why it is not timed: it must not start, or has not run on this machine."""
    if teacher_forbidden():
        return "DECANT_TEACHER=never forbids that the teacher starts"
    if not has_run_here(teacher, store):
        return "the teacher has not run on this machine, its scores were there already"
    from decant.score.teacher import TeacherScorer  # slow to import

    return TeacherScorer(teacher, teacher_folder(teacher, weights=True))
