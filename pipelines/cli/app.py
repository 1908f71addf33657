"""The command tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from pipelines.cli import data, develop, doctor, dvc, gc, policies, predict, projects, registry, run, stack

app = typer.Typer(
    name="pipelines",
    help="From raw data to champion: run projects, look at what happened, and get back to any earlier state.",
    epilog="Exit codes: 0 done, 1 a gate or check said no, 2 wrong use, 3 bad data, 4 infrastructure.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


@app.callback()
def _before_any_command(
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of errors. May stand anywhere in the line.")
    ] = False,
) -> None:
    from pipelines.core.settings import quiet_environment

    quiet_environment()


RUN = "Run"
LOOK = "Look"
SERVE = "Serve and undo"
DEVELOP = "Make projects"
OPERATE = "Operate"

app.command("list", rich_help_panel=LOOK)(projects.list_projects)
app.command("run", rich_help_panel=RUN)(run.run)
app.command("history", rich_help_panel=LOOK)(registry.history)
app.command("alarms", rich_help_panel=LOOK)(registry.alarms)
app.command("lineage", rich_help_panel=LOOK)(registry.lineage)
app.command("reproduce", rich_help_panel=LOOK)(registry.reproduce)
app.command("predict", rich_help_panel=SERVE)(predict.predict)
app.command("policies", rich_help_panel=DEVELOP)(policies.policies)
app.command("promote", rich_help_panel=SERVE)(registry.promote)
app.command("rollback", rich_help_panel=SERVE)(registry.rollback)
app.command("new", rich_help_panel=DEVELOP)(develop.new)
app.command("lint", rich_help_panel=DEVELOP)(projects.lint)
app.command("check", rich_help_panel=DEVELOP)(develop.check)
app.command("doctor", rich_help_panel=OPERATE)(doctor.doctor)
app.command("gc", rich_help_panel=OPERATE)(gc.gc)
app.command("render", rich_help_panel=OPERATE)(dvc.render)
app.command("stage", rich_help_panel=OPERATE)(dvc.stage)
app.add_typer(data.app, name="data", rich_help_panel=OPERATE)
app.add_typer(stack.app, name="stack", rich_help_panel=OPERATE)


def invoke(arguments: Sequence[str]) -> int:
    """Run the command line; return its exit code. Raises what the command raises."""
    from typer.exceptions import TyperException

    from pipelines.cli.failures import INTERRUPTED, usage

    command = typer.main.get_command(app)
    try:
        code = command.main(args=list(arguments), prog_name="pipelines", standalone_mode=False)
    except TyperException as error:
        return usage(error)
    if code == INTERRUPTED:  # typer's word for KeyboardInterrupt
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0
