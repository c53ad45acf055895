"""Where the pipeline's inputs and outputs lie, relative to the project's folder."""

from pathlib import Path

PARAMS = Path("params.yaml")
LOCK = Path("dvc.lock")
SETS = Path("data/sets")
OWN = Path("data/own")
MINED = Path("data/mined")
TEACHERS = Path("data/teachers")  # those that were adapted
SCORES = Path("data/scores")
TRIPLETS = Path("data/triplets")
RUNS = Path("data/runs")
RETRIEVED = Path("data/retrieved")
EXPORTED = Path("data/exported")
COST = Path("data/cost")  # what is timed, and the sizes of models
MODELS = Path("models")
METRICS = Path("metrics")
PLOTS = Path("plots")
REPORT = Path("report")
MADE_BY_STAGES = (SETS, MINED, TEACHERS, SCORES, TRIPLETS, RUNS, RETRIEVED, EXPORTED, COST, MODELS, METRICS, PLOTS)
RESUME = Path(".resume")  # what unfinished stages go on from; no outputs of theirs


def made_by_stages(file: str) -> bool:
    """Whether a file is an output of a stage."""
    return any(Path(file).is_relative_to(folder) for folder in MADE_BY_STAGES)


def split(dataset: str, name: str) -> Path:
    """The file of a set's split."""
    return SETS / dataset / f"{name}.parquet"


def corpus(dataset: str) -> Path:
    """The file of a set's corpus, which not every set has."""
    return SETS / dataset / "corpus.parquet"
