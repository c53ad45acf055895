"""A user's machine with an empty cache, pointed to a hub on the loopback.

`huggingface_hub` reads HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE when it is imported: so each test starts a process with
an environment and a cache of its own, in which it resolves one reference or several.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.project import ROOT

COMMIT = "0123456789abcdef0123456789abcdef01234567"

# Resolves each reference that it is given, and prints a JSON list of the outcomes: [folder, fault, traceback].
SCRIPT = """
import json, sys, traceback
from pathlib import Path
from decant.errors import DecantError
from decant.sources.references import model_folder

def fetch(source, revision, folder, format):
    from decant.fetch.build import fetch_set
    from decant.fetch.settings import DataSet
    named = {"train": "validation", "dev": 6, "test": "test"}
    # not validated: the settings refuse a revision that is no commit, and so must the download
    settings = DataSet.model_construct(source=source, revision=revision, format=format, task="find it", **named)
    fetch_set("mine", settings, Path(folder))
    return folder

outcomes = []
for source, revision, folder, code, sha256, format in json.loads(sys.argv[1]):
    try:
        if folder:
            resolved = fetch(source, revision, folder, format)
        else:
            resolved = str(model_folder(source, revision, sha256, code=code))
        outcomes.append([resolved, "", ""])
    except DecantError as error:
        outcomes.append([None, str(error), ""])
    except Exception:
        outcomes.append([None, "", traceback.format_exc()])
print(json.dumps(outcomes))
"""


@dataclass(frozen=True)
class Reference:
    """A model, with its Python files or without; or, where there is a folder to write it to, a data set."""

    source: str
    revision: str = COMMIT
    folder: Path | None = None
    code: bool = False
    sha256: str | None = None
    format: str = "rows"

    def __str__(self) -> str:
        return f"{self.folder or 'model'} {self.source} {self.revision[:12]}"


@dataclass(frozen=True)
class Outcome:
    """The folder that was found or written; or the message of a DecantError; or any other error's traceback."""

    folder: Path | None
    fault: str
    traceback: str

    @property
    def remedy(self) -> str:
        return self.fault.rpartition("→")[2]


@dataclass(frozen=True)
class Client:
    """A user's machine: its cache, and the hub that it is pointed to."""

    home: Path
    endpoint: str

    def resolve(self, *references: Reference, **environment: str) -> list[Outcome]:
        """Resolve the references in one process."""
        outcomes, _ = self.run(*references, **environment)
        return outcomes

    def run(self, *references: Reference, **environment: str) -> tuple[list[Outcome], str]:
        """The same, with what was written to stderr."""
        arguments = [
            (each.source, each.revision, each.folder and str(each.folder), each.code, each.sha256, each.format)
            for each in references
        ]
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, json.dumps(arguments)],
            env={**self.variables(), **environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        outcomes = json.loads(done.stdout)
        return [Outcome(folder and Path(folder), *faults) for folder, *faults in outcomes], done.stderr

    def variables(self) -> dict[str, str]:
        """The environment of the user's processes."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING", "MODELSCOPE")) and not name.lower().endswith("_proxy")
        }
        return {
            **kept,
            "PYTHONPATH": str(ROOT),
            "CI": "true",
            "HF_HOME": str(self.home),
            "HF_ENDPOINT": self.endpoint,
            "MODELSCOPE_CACHE": str(self.home / "modelscope"),
            "MODELSCOPE_HOME": str(self.home / "modelscope settings"),
            "MODELSCOPE_ENDPOINT": self.endpoint,
            "XDG_CACHE_HOME": str(self.home / "cache"),
        }
