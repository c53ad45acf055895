"""How many steps a training makes."""

import pytest

from decant.train.settings import Train


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
