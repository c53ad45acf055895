"""What a git revision holds, read through DVC: from git, from DVC's cache, or from the default remote."""

import hashlib
import json
from functools import cached_property
from typing import Any, NamedTuple, cast

import pyarrow as pa
import pyarrow.parquet as pq

from decant import paths
from decant.errors import DecantError
from decant.evaluate.metrics import METRICS
from decant.evaluate.run import Values, by_test_set
from decant.params import read_yaml

WORKSPACE = "workspace"


class TestRun(NamedTuple):
    """A checkpoint's run on one test split, the queries in the split's order."""

    revision: str
    dataset: str
    split: str | None  # the MD5 of the test split that was ranked; None where dvc.lock does not record it
    queries: list[str]
    labels: list[list[int]]
    gains: list[list[int]]  # the labels where the set has no grades
    scores: list[list[float]]  # of each query's candidates
    metrics: dict[str, Values]  # one value a query


class Revision:
    """A git revision by its name (a commit, a tag, a branch, a `dvc exp` name), or the `workspace`.

    Raises:
        DecantError: there is no such revision, or no repository.
    """

    def __init__(self, name: str) -> None:
        from dvc.api import DVCFileSystem  # slow to import
        from dvc.exceptions import NotDvcRepoError
        from dvc.repo import Repo
        from dvc.scm import RevError, SCMError

        self.name = name
        try:
            with Repo() as here:
                # Of the workspace: a remote may have been added, or moved, after the revision was committed.
                config = here.config
            self._files: Any = DVCFileSystem(rev=None if name == WORKSPACE else name, config=config)
            _ = self._files.repo
        except RevError as error:
            raise DecantError(
                f"{name}: {error}",
                "name a commit, a tag, a branch, an experiment (`dvc exp list --all-commits`) or `workspace`; "
                "`git fetch --tags` and `dvc exp pull REMOTE NAME` bring what colleagues pushed",
            ) from error
        except (NotDvcRepoError, SCMError) as error:
            raise DecantError(f"{name}: {error}", "run in the project's folder, a git clone") from error

    def runs(self, track: str, model: str) -> dict[str, TestRun]:
        """The runs of a track's model, by domain.

        Raises:
            DecantError: the revision has no such track or model, or its run is neither in the cache nor on the remote.
        """
        path = str(paths.RUNS / track / f"{model}.parquet")
        table = _table(self._read(path))
        if not len(table):
            raise DecantError(
                f"{self.name}: {path} is empty: that baseline was off", "compare another --model, or revision"
            )
        if lacking := [name for name in ("dataset", *METRICS) if name not in table.column_names]:
            raise DecantError(
                f"{self.name}: {path} has no column {', '.join(lacking)}: an earlier version of Decant wrote it",
                f"evaluate that revision's checkpoint anew: `dvc get . models/{track} --rev {self.name}`, then "
                "`decant evaluate --model PATH --dataset NAME`",
            )
        runs = {}
        for domain, dataset, part, metrics in by_test_set(table):
            if domain in runs:  # a part of the run before it, or that run of shortened embeddings
                continue
            split = self._recorded_split(track, model, dataset)
            queries, labels = part["query"].to_pylist(), part["labels"].to_pylist()
            found = part["gains"].to_pylist() if "gains" in part.column_names else [None] * len(labels)
            scores = part["scores"].to_pylist()
            gains = [gain or label for gain, label in zip(found, labels, strict=True)]
            runs[domain] = TestRun(self.name, dataset, split, queries, labels, gains, scores, metrics)
        return runs

    def training_seconds(self, track: str) -> float:
        """How long a track's training took; raises as `runs` does."""
        return float(json.loads(self._read(str(paths.COST / track / "train.json")))["seconds"])

    def test_rows(self, dataset: str) -> list[dict[str, Any]]:
        """The queries and candidates of a set's test split, without grades and ids; raises as `runs` does."""
        split = _table(self._read(str(paths.split(dataset, "test"))), ["query", "positive", "negative"])
        return cast("list[dict[str, Any]]", split.to_pylist())

    def _recorded_split(self, track: str, model: str, dataset: str) -> str | None:
        """The MD5 of the test split that dvc.lock records as ranked."""
        stage = self._lock.get("stages", {}).get(f"evaluate_{model}@{track}", {})
        path = str(paths.split(dataset, "test"))
        return next((dep.get("md5") for dep in stage.get("deps", []) if dep["path"] == path), None)

    @cached_property
    def _lock(self) -> dict[str, Any]:
        return cast("dict[str, Any]", read_yaml(self._read(str(paths.LOCK)).decode(), str(paths.LOCK)))

    def _read(self, path: str) -> bytes:
        try:
            recorded = self._files.info(path).get("dvc_info") or {}
        except FileNotFoundError as error:
            raise DecantError(
                f"{self.name} has no {path}: no stage there makes it", "compare another --track or --model, or revision"
            ) from error
        try:
            with self._files.open(path) as file:
                content: bytes = file.read()
        except FileNotFoundError as error:
            raise self._missing(path, recorded.get("md5")) from error
        except Exception as error:  # of the remote's client, whichever it is
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DecantError(
                f"{self.name}: {path} is not in the cache, and the remote cannot be read: {reason}",
                "`dvc remote list` shows the remote's address; `dvc fetch --all-commits` tells more",
            ) from error
        md5 = recorded.get("md5")
        if self.name != WORKSPACE and md5 and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
            raise DecantError(
                f"{self.name}: the object of {path} in the cache or on the remote is corrupted: its MD5 is not {md5}",
                "remove it, and `dvc fetch` or `dvc push` it anew from where it is sound",
            )
        return content

    def _missing(self, path: str, md5: str | None) -> DecantError:
        if md5 is None:
            return DecantError(
                f"{self.name}: {path} was not made there: dvc.lock records no such run", "compare another revision"
            )
        if self.name == WORKSPACE:
            return DecantError(f"{path} is not there", f"`dvc pull {path}` brings it back, `dvc repro` makes it anew")
        return DecantError(
            f"{self.name}: {path} is neither in DVC's cache nor on a remote",
            f"`dvc fetch --all-commits {path}` where it was pushed, `dvc exp pull REMOTE {self.name}` for an "
            f"experiment of a colleague's; or make it anew: `git checkout {self.name}`, then `dvc repro`",
        )


def _table(content: bytes, columns: list[str] | None = None) -> pa.Table:
    """A Parquet file's table, read on this thread alone.

    A thread of pyarrow's that still holds a Python object when Python ends aborts the process (apache/arrow#34314).
    """
    with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
        return file.read(columns, use_threads=False)
