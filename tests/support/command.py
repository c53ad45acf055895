"""`python -m tests.support.command NAME …`: `decant NAME …` in a fork that finds the slow imports done."""

from decant.commands import app
from decant.experiments import ablations

if __name__ == "__main__":
    ablations.POLL = 0.5  # seconds between two looks at the queue: tests' experiments take few
    app()
