"""Several processes (gloo, on the CPU) train as one does, and end together."""

import signal
import subprocess
from itertools import product
from pathlib import Path

import pytest
import torch

from decant.errors import DecantError
from decant.train.distributed import _Share, launch
from tests.support.group_main import train_all
from tests.support.project import ROOT
from tests.support.training_project import TrainingProject

MAIN = str(ROOT / "tests/support/group_main.py")
# A key's bias moves all of a query's attention logits alike, and the score's bias all of its scores: their gradients
# are zero but for rounding, which AdamW blows up.
WITHOUT_GRADIENT = ("key.bias", "classifier.bias")


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.usefixtures("group")
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Both tracks, with a last batch that cannot be shared evenly; the two encode all at once, and in chunks.

    At the end each process has the mean of the last weights.
    """
    alone = train_all(tmp_path, chunk=None)
    launch([MAIN, "train", str(tmp_path)], 2)
    for chunk, (track, curves) in product(("None", "2"), alone.items()):
        loss, dev, average = torch.load(tmp_path / chunk / "curves.pt")[track]
        assert (dev, average) == (curves.dev, curves.average)
        assert average is not None
        assert [point.keys() for point in loss] == [point.keys() for point in curves.loss]
        for ours, theirs in zip(loss, curves.loss, strict=True):
            assert ours["step"] == theirs["step"]
            assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5, abs=2e-6)
            assert ours == pytest.approx(theirs, abs=1.1e-4)  # the library rounds the terms to four decimals
        first, second = (torch.load(tmp_path / chunk / f"{track}-{rank}.pt") for rank in (0, 1))
        for name, expected in torch.load(tmp_path / f"{track}-0.pt").items():
            assert torch.equal(first[name], second[name])
            if not name.endswith(WITHOUT_GRADIENT):
                assert torch.allclose(first[name], expected, rtol=0, atol=1e-6), name


@pytest.mark.parametrize(("size", "processes"), [(4, 2), (3, 2), (3, 4), (1, 4), (7, 8)])
def test_the_weighted_shares_average_to_the_batchs_mean(size: int, processes: int) -> None:
    class Collate:
        valid_label_columns = ("label",)

        def __call__(self, rows: list[dict[str, float]]) -> dict[str, float]:
            return {"mean": sum(row["x"] for row in rows) / len(rows)}

    rows = [{"x": float(number**2)} for number in range(size)]
    shares = [_Share(Collate(), rank, processes)(rows) for rank in range(processes)]
    mean = sum(float(share["weight"]) * share["mean"] for share in shares) / processes
    assert mean == pytest.approx(sum(row["x"] for row in rows) / size)


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(
    ("case", "error", "words"),
    [
        ("error", DecantError, "the second process: it failed\n  → mend it"),
        pytest.param("bug", RuntimeError, "training process 1: KeyError", marks=pytest.mark.slow),
        pytest.param("kill", DecantError, "process 1 was killed by SIGKILL", marks=pytest.mark.slow),
    ],
)
def test_a_failure_in_one_process_ends_all_and_is_the_one_told(
    case: str, error: type[Exception], words: str, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(error) as caught:
        launch([MAIN, case, str(tmp_path)], 2)
    assert words in str(caught.value)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not _running(str(tmp_path))


def _running(words: str) -> str:
    """The processes whose command holds these words."""
    return subprocess.run(["pgrep", "-f", words], capture_output=True, text=True).stdout


def _wait_for(path: Path, pattern: str, process: "subprocess.Popen[str]") -> None:
    while not list(path.glob(pattern)):
        assert process.poll() is None, process.communicate()[0]


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["Ctrl-C", "SIGTERM", "SIGKILL"])
def test_a_signal_ends_all_processes_of_a_stage(sent: signal.Signals, tmp_path: Path) -> None:
    """The stage says so once and leaves nothing half-written; after SIGKILL, which it cannot tell of, they end too."""
    project = TrainingProject(tmp_path, 0.0, processes=2, save_steps=1, evaluations=1)
    project.set(epochs=200)
    process = project.start("embedding")
    _wait_for(tmp_path, ".resume/train/embedding/*/checkpoint-2/checksums.json", process)
    process.send_signal(sent)
    said = process.communicate(timeout=60)[0]
    assert not _running(f"-m stages.train embedding --into {project.folder.name}")
    assert "Traceback" not in said
    if sent != signal.SIGKILL:
        assert process.returncode == 128 + sent
        assert said.count("interrupted") == 1
        assert not list((tmp_path / "models").iterdir())


@pytest.mark.slow
def test_a_projection_is_trained_in_one_process_alone(tmp_path: Path) -> None:
    """The gradients that processes share are the model's; the projection is the loss's own."""
    project = TrainingProject(tmp_path, 0.0, processes=2)
    project.embeddings(8)
    said = project.train("embedding", code=1)
    assert "2 processes would each train a projection of their own" in said
    assert "set train.processes to 1" in said
    assert "Traceback" not in said


def test_too_few_gpus_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(DecantError, match="4 processes need a GPU each, and there are 2"):
        launch([MAIN, "train", "nowhere"], 4)
