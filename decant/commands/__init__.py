"""The `decant` command: one module a subcommand. It runs in the project's folder, beside params.yaml.

Modules import what is slow inside their functions, so that `--help` and the light commands answer at once.
"""

import typer

from decant.commands import (
    ablate,
    compare,
    curve,
    doctor,
    evaluate,
    export_run,
    import_scores,
    inspect,
    mteb,
    params,
    plan,
    publish,
    report,
    repro,
    store,
)

app = typer.Typer(
    name="decant",
    help="Distil large retrieval teachers into small students, with the proof beside it.",
    epilog="The pipeline itself runs by `dvc repro`. `decant COMMAND --help` shows examples.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command("repro", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(repro.repro)
app.command("doctor")(doctor.doctor)
app.command("inspect")(inspect.inspect)
app.command("evaluate")(evaluate.evaluate)
app.command("report")(report.report)
app.command("compare")(compare.compare)
app.command("plan")(plan.plan)
app.command("store")(store.store)
app.command("import")(import_scores.import_scores)
app.command("export-run")(export_run.export_run)
app.command("ablate")(ablate.ablate)
app.command("curve")(curve.curve)
app.command("mteb")(mteb.mteb)
app.command("publish")(publish.publish)
app.command("params")(params.params)
