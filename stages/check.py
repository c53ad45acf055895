"""Validate the whole of params.yaml, so that a misspelt key is never 'up to date'."""

from stages import cli


def main() -> None:
    """Load the params; every fault stops."""
    cli.params()
    print("params.yaml is valid")


if __name__ == "__main__":
    cli.run("check", main)
