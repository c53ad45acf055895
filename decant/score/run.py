"""What the stage `score` does: take in what exists, have the teacher read what is missing, write all of it."""

import gc
import platform
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from decant import paths
from decant.data.scores import EMBEDDINGS
from decant.data.sets import Split, read_rows
from decant.errors import DecantError
from decant.files import atomic_folder, sha256, write_json
from decant.models.cuts import described
from decant.models.scorer import Scores
from decant.models.size import model_size
from decant.score.card import data_card
from decant.score.engines.base import engine_version
from decant.score.engines.robust import added
from decant.score.ensemble import Scored, joint_size, write_ensemble
from decant.score.output import QUARANTINE, quarantine, write_embeddings, write_quarantine, write_scores
from decant.score.prompts.base import TOO_LONG
from decant.score.recorded import default_remote, folder_md5, recorded_scores
from decant.score.selftest import Sample, compare_imported, draw_sample, judge, reference_scores
from decant.score.settings import Ensemble
from decant.score.store import Tell, read_notes
from decant.score.store.taking import MEMBERS, outputs_of, take_output, take_shortened
from decant.score.teacher import TeacherScorer
from decant.score.work import RAN_ON, Job, Work, open_work, teacher_asked, teacher_folder

FIGURES = "figures"  # the store's notes of what engines took
SAMPLED_ROWS = 64  # that the self-test's pairs are drawn from


def score_track(job: Job, folder: Path, tell: Tell) -> dict[str, Any]:
    """Write the scores of a track to a folder, whole or not at all; those of its teachers that lie there are taken in.

    Of an ensemble, each member's are written too, into a folder of its own.

    Returns:
        the teacher's `parameters` and `bytes`, 0 where its weights have never been on this machine; `engines`: by
        version and machine, what they took for all that they have scored into this store, as docs/teachers.md says;
        and `cut`: data set → split → what `decant.models.cuts.count_cut` returns of the texts that the teacher cuts.
        Of an ensemble see `decant.score.ensemble.joint_size`.

    Raises:
        DecantError: a teacher may not start, its scores cannot be right, or too many pairs can have none. What was
            scored is kept in the store in any case.
    """
    if teacher_asked() != "never":
        for teacher in job.teacher.members:
            engine_version(teacher)  # a missing engine is told before a model is downloaded
    if not isinstance(job.teacher, Ensemble):
        return _score_teacher(job, folder, folder, tell).size
    with atomic_folder(folder) as partial:
        members = []
        for number, (name, one) in enumerate(job.of_members.items(), 1):
            tell(f"{job.track}: {name}")
            try:
                members.append(_score_teacher(one, folder, partial / MEMBERS / str(number), tell))
            except DecantError as error:
                raise DecantError(f"{name}: {error.problem}", error.remedy) from error
            _free_memory()
        write_ensemble(job, job.teacher, members, partial, tell)
    return joint_size([member.size for member in members])


def _free_memory() -> None:
    """Have a teacher that is done with leave the GPU to the next one."""
    import torch  # takes seconds

    gc.collect()
    torch.cuda.empty_cache()  # does nothing without a GPU


def _score_teacher(job: Job, before: Path, folder: Path, tell: Tell) -> Scored:
    """Write one teacher's scores to a folder; see `score_track`. What the stage wrote before is taken in."""
    with open_work(job, tell) as work:
        sample = _sample(work)
        if not work.missing and not work.unread:
            tell(f"{job.track}: the store holds the scores of all pairs")
        else:
            _take_in(work, before, tell)
            for split in work.splits.values():
                split.set_long_aside(job.store.shard)
            _check_quarantine(work)
            if work.unread:
                _check_allowed(work, before, tell)
                _score(work, sample, tell)
            else:
                _complete(work, None, {})
        _check_quarantine(work)
        scores = {name: split.scores() for name, split in work.splits.items()}
        with atomic_folder(folder) as partial:
            cut = _write(work, scores, sample, partial, tell)
        ran_on = list(read_notes(work.stored.folder, RAN_ON).values())
        size = ran_on[-1] if ran_on else model_size(work.folder)
        engines = read_notes(work.stored.folder, FIGURES)
        size = {**{name: size[name] for name in ("parameters", "bytes")}, "engines": engines, "cut": cut}
        return Scored(folder, size, scores)


def _take_in(work: Work, folder: Path, tell: Tell) -> None:
    """Take in the scores that lie in a folder, and say what is to be done anew, and why."""
    track, model = work.job.track, work.teacher.model
    before, without = work.missing, work.without_embedding
    _take_whole(work, tell)
    for output in outputs_of(folder, work.identity) or [folder]:
        take_output(output, work.identity, work.prompts, work.stored, lambda text: tell(f"{track}: {text}"))
    work.look()
    if work.missing < before:
        tell(f"{track}: {before - work.missing} scores come from {folder}")
    if work.without_embedding < without:
        tell(f"{track}: {without - work.without_embedding} embeddings come from {folder}")
    near = work.store.near(work.identity, model)
    if near and not len(work.stored.pairs):
        changes = ", ".join(f"{name} ({old!r} → {new!r})" for name, (old, new) in near[1].items())
        stored = f"the store's {near[0].pairs} scores of {model}"
        tell(f"{track}: {stored} differ in {changes}; they stay there, and all pairs are scored anew")


def _take_whole(work: Work, tell: Tell) -> None:
    """Cut what the store has of the same teacher's whole embeddings."""
    teacher, whole = work.teacher, work.whole
    if whole is None or teacher.dimensions is None:
        return
    taken = sum(
        take_shortened(whole, split.text_keys, work.stored, teacher.dimensions, teacher.embeddings_dtype)
        for split in work.splits.values()
    )
    if taken:
        tell(f"{work.job.track}: {taken} embeddings are cut from whole ones in the store")


def _check_allowed(work: Work, folder: Path, tell: Tell) -> None:
    """Refuse to start a teacher where the environment forbids it, or dvc.lock records scores that are on a remote."""
    job, stage = work.job, f"score@{work.job.track}"
    option = f"{job.track}.teacher.embeddings"
    lacking = {
        "pairs have no score yet": work.missing,
        f"texts have no embedding yet, which {option} asks for": work.without_embedding,
    }
    listed = ", and ".join(f"{count} {words}" for words, count in lacking.items() if count)
    needed = f"{listed}, and a teacher would have to run"
    pull = f"`dvc pull {'--force ' if folder.exists() else ''}{stage}`"
    recorded, adapted = recorded_scores(job.track), paths.TEACHERS / job.track
    elsewhere = (
        recorded is not None
        and recorded.of(work.teacher)
        and (work.teacher.model != f"path:{adapted}" or recorded.adapted in (None, folder_md5(adapted)))
        and (work.missing > 0 or recorded.teacher.embeddings)
        and folder_md5(folder) != recorded.md5
    )
    fault = "dvc.lock records this teacher's scores, and they are not here"
    if teacher_asked() == "never":
        raise DecantError(
            f"{needed}, and DECANT_TEACHER=never forbids it" + (f"; {fault}" if elsewhere else ""),
            f"{pull} brings the scores that dvc.lock records; or unset DECANT_TEACHER"
            + (f"; or set {option} to false" if not work.missing else ""),
        )
    if not elsewhere or (remote := default_remote()) is None:
        return
    if teacher_asked() != "start":
        raise DecantError(
            f"{needed}, though {fault}",
            f"{pull} brings them from the remote {remote!r}; or, to pay for them again, "
            f"`DECANT_TEACHER=start dvc repro {stage}`",
        )
    tell(f"{job.track}: {fault}; DECANT_TEACHER=start has the teacher run all the same")


def _score(work: Work, sample: Sample, tell: Tell) -> None:
    """Test the teacher, and have it read what is missing."""
    job, teacher = work.job, work.teacher
    folder = teacher_folder(teacher, weights=True)
    version = engine_version(teacher)
    with TeacherScorer(teacher, folder) as scorer:
        # The reference comes before the engines start, which may take all memory.
        reference, compared_with = reference_scores(teacher, folder, sample)
        tested = judge(teacher, sample, scorer.score(sample.queries, sample.candidates, sample.task), reference)
        tell(f"{job.track} self-test: {', '.join(f'{key} {value}' for key, value in tested.items())}; {compared_with}")
        if compared := compare_imported(teacher, scorer, work.splits.values(), job.seed):
            tell(f"{job.track}: {compared} of the imported scores agree with the teacher's")
        work.stored.note("self_test", sample.digest, {**tested, "compared_with": compared_with})
        work.stored.note(RAN_ON, platform.node(), {"engine": version, **model_size(folder)})
        _complete(work, scorer, {"engine": version})
        # Summed over all that has been scored into this store, with which it stays.
        key = f"{version} on {platform.node()}"
        figures = added(read_notes(work.stored.folder, FIGURES).get(key, {}), scorer.figures)
        work.stored.note(FIGURES, key, {name: round(value, 3) for name, value in figures.items()})


def _complete(work: Work, scorer: TeacherScorer | None, origin: dict[str, Any]) -> None:
    for split in work.splits.values():
        split.look()  # an earlier split may have had the same texts
        split.complete(scorer, work.job.store.shard, work.teacher.embeddings_dtype, origin)
    work.look()


def _sample(work: Work) -> Sample:
    """Pairs for the self-test, of train queries that the teacher has room for."""
    rng = random.Random(work.job.seed)
    path = next(iter(work.splits.values())).path
    rows = pq.read_metadata(path).num_rows
    drawn = read_rows(path, set(rng.sample(range(rows), min(rows, SAMPLED_ROWS))))
    split = max(drawn.parts(), key=lambda part: len(part.rows))  # of one task
    excess = work.prompts.excess([row.query for row in split.rows], split.task)
    short = [row for row, too_many in zip(split.rows, excess, strict=True) if not too_many]
    return draw_sample(Split(short, split.task), work.job.seed)


def _check_quarantine(work: Work) -> None:
    """Refuse to go on where more pairs than params allow can have no score; the quarantine file then has them all."""
    track, most = work.job.track, work.job.store.max_quarantined
    for name, split in work.splits.items():
        if split.lost > most * len(split.positions):
            rows = quarantine(work.splits)
            path = work.stored.folder / f"quarantine-{track}.jsonl"
            write_quarantine(path, rows)
            first = next(row for row in rows if row["split"] == name)
            raise DecantError(
                f"{track} {name}: {split.lost} of {len(split.positions)} pairs can have no score, and "
                f"store.max_quarantined allows {most:.2%}; the first is of row {first['row']}, "
                f"{first['query'][:60]!r}: {first['reason']}",
                f"look into {path}, which has them all; {TOO_LONG}; correct the set, or raise store.max_quarantined; "
                "then run again: what is scored is kept",
            )


def _write(
    work: Work, scores: Mapping[str, Scores], sample: Sample, folder: Path, tell: Tell
) -> dict[str, dict[str, Any]]:
    """Write the scores, their manifest, their data card, and what was set aside; return what is cut of each split."""
    track = work.job.track
    files = {
        f"{name}.parquet": write_scores(split, scores[name], folder / f"{name}.parquet")
        for name, split in work.splits.items()
    }
    if lost := quarantine(work.splits):
        write_quarantine(folder / QUARANTINE, lost)
        tell(f"{track}: {len(lost)} pairs have no score; {QUARANTINE} beside the scores says why")
    data = {
        name: {
            "dataset": source.dataset,
            "split": source.split,
            "task": str(work.splits[name].task),
            **({"prompt": prompt} if (prompt := work.splits[name].task.prompt) else {}),
            "revision": source.revision,
            "packages": dict(source.packages),
            "sha256": sha256(source.path),
        }
        for name, source in work.job.sources.items()
    }
    manifest = {
        "track": track,
        "teacher": work.teacher.model_dump(exclude={"embeddings"}),
        "identity": work.identity,
        "max_length": work.prompts.max_length,
        "rendered": work.prompts.rendered(sample.queries[0], sample.candidates[0], sample.task),
        "self_test": {"sample": sample.digest, **read_notes(work.stored.folder, "self_test").get(sample.digest, {})},
        "data": data,
        "files": files,
    }
    if work.embedded:
        manifest["embeddings"] = kept = write_embeddings(work.embedded, folder / EMBEDDINGS)
        tell(f"{track}: embeddings of {kept['texts']} texts, {kept['dimension']} numbers each, {kept['precision']}")
    else:
        (folder / EMBEDDINGS).touch()  # `train` depends on the file
    write_json(folder / "manifest.json", manifest)
    (folder / "README.md").write_text(data_card(manifest), encoding="utf-8")
    for name, file in files.items():
        statistics = ", ".join(f"{key} {value}" for key, value in file["scores"].items())
        tell(f"{track} {name}: {file['pairs']} pairs of {file['unique_texts']} texts; {statistics}")
        if cut := described(file["cut"]):
            tell(f"{track} {name}: {cut} are longer than {work.prompts.max_length} tokens, where the teacher cuts them")
    by_set: dict[str, dict[str, Any]] = {}
    for name, source in work.job.sources.items():
        by_set.setdefault(source.dataset, {})[source.split] = files[f"{name}.parquet"]["cut"]
    return by_set
