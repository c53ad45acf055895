"""One module a stage, run as `python -m stages.<stage>`."""
