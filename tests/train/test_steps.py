"""How many steps a training makes."""

import pytest

from decant.params import Params, load_params
from decant.train.settings import Train
from tests.support.project import ROOT


@pytest.fixture(scope="module")
def default() -> Params:
    return load_params(ROOT / "params.yaml")


@pytest.mark.parametrize(
    ("tuples", "epochs", "least", "steps"),
    [
        (100, 2.0, None, 14),
        (101, 0.5, None, 4),
        (150, 2.0, 100, 100),  # ten passes instead of two
        (1600, 2.0, 100, 200),
        (1600, 0.0, 100, 0),  # no epochs train nothing
    ],
)
def test_a_small_set_is_passed_over_until_it_has_its_least_steps(
    tuples: int, epochs: float, least: int | None, steps: int
) -> None:
    assert Train(lr=1e-4, epochs=epochs, batch_size=16, least_steps=least).steps(tuples) == steps


@pytest.mark.parametrize("track", ["embedding", "reranker"])
def test_the_default_gives_a_small_set_its_least_steps_and_its_own_sets_those_of_the_epochs(
    default: Params, track: str
) -> None:
    block = default.track(track)
    assert block.train.least_steps is not None
    of_epochs = block.train.model_copy(update={"least_steps": None})

    def tuples(queries: int) -> int:
        return queries + round(block.replay * queries)

    assert of_epochs.steps(tuples(150)) < block.train.steps(tuples(150)) == block.train.least_steps
    own = tuples(default.datasets[block.in_domain].train)
    assert block.train.steps(own) == of_epochs.steps(own)
