"""`pipelines stack`: the embedded Airflow and MLflow, and runs through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.cli.output import emit, marked, note, streams
from pipelines.cli.projects import Json, Name
from pipelines.cli.run import AsOf, Fresh, Monitor, Overrides, Profile

if TYPE_CHECKING:
    from pipelines.stack import Followed, Stack

app = typer.Typer(help="The embedded stack: Airflow and MLflow on 127.0.0.1, with embedded databases.", no_args_is_help=True)

AirflowPort = Annotated[
    int, typer.Option("--airflow-port", metavar="PORT", min=1, max=65535, help="Another is taken when it is busy.")
]
MlflowPort = Annotated[
    int, typer.Option("--mlflow-port", metavar="PORT", min=1, max=65535, help="Another is taken when it is busy.")
]


@app.command()
def up(airflow_port: AirflowPort = 8080, mlflow_port: MlflowPort = 5000, as_json: Json = False) -> None:
    """Start what is not running, wait until all of it is healthy, and say where it is."""
    from dataclasses import asdict

    stack = _started(airflow_port, mlflow_port)
    if as_json:
        emit(asdict(stack))
    else:
        _say_where(stack)


@app.command()
def down(as_json: Json = False) -> None:
    """Stop exactly what was started."""
    from pipelines import stack
    from pipelines.core.settings import Settings

    count = stack.down(Settings.load(), console=streams().aside)
    if as_json:
        emit({"stopped": count})
    else:
        streams().result.print(marked("[green]✓[/] {} processes stopped", count) if count else "nothing was running")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def airflow(arguments: typer.Context) -> None:
    """Airflow's own command line, against the running stack: `pipelines stack airflow dags list`."""
    from pipelines import stack
    from pipelines.core.settings import Settings

    raise typer.Exit(stack.airflow(Settings.load(), arguments.args))


@app.command()
def status(as_json: Json = False) -> None:
    """Show each process of the stack; exits 4 when one of them is dead, 0 when nothing was started."""
    from pipelines import stack
    from pipelines.core.settings import Settings

    found = stack.status(Settings.load())
    if as_json:
        emit(found)
    else:
        _show_status(found)
    if any(process["state"] == "dead" for process in found.values()):
        raise typer.Exit(4)


@app.command()
def run(
    project: Name,
    as_of: AsOf = None,
    profile: Profile = "full",
    overrides: Overrides = None,
    fresh: Fresh = False,
    monitor: Monitor = False,
    airflow_port: AirflowPort = 8080,
    mlflow_port: MlflowPort = 5000,
    as_json: Json = False,
) -> None:
    """Run a project's DAG on the embedded Airflow, from raw data to champion; starts the stack when it is down.

    Shows each task as it goes and ends with the result of `pipelines run`. The stack stays up to look around.

    [bold]Examples[/]

      pipelines stack run churn
      pipelines stack run churn --profile sample --set train.trials=5
    """
    from pipelines import stack as embedded
    from pipelines.cli import panels, result
    from pipelines.cli.run import mlflow_link, open_session
    from pipelines.core.execution import Session

    asked = open_session(project, as_of, profile, overrides or [], fresh=fresh, graph="monitoring" if monitor else "training")
    stack = _started(airflow_port, mlflow_port)
    conf = {
        "as_of": asked.run.as_of.isoformat() if as_of else None,
        "profile": profile,
        "overrides": asked.run.model_dump(mode="json")["overrides"],
        "fresh": fresh,
    }
    kind = "monitoring" if monitor else "training"
    followed = embedded.trigger_and_follow(asked.settings, project, kind, conf, console=streams().aside)  # type: ignore[arg-type]
    session = Session(asked.run.model_copy(update={"id": followed.run_id, "runner": "airflow"}), asked.graph_name, asked.settings)
    document = result.document(session, followed.results, {"dag_run": followed.url, **mlflow_link(session)})
    code = _exit_code(followed, document)
    if as_json:
        emit({**document, "failures": [vars(failure) for failure in followed.failures], "exit_code": code})
    else:
        panels.show(document, streams().result)
        _show_failures(followed)
        _say_where(stack)
    raise typer.Exit(code)


def _exit_code(followed: Followed, document: dict[str, Any]) -> int:
    from pipelines.cli.result import refused

    return followed.exit_code or int(refused(document))


def _started(airflow_port: int, mlflow_port: int) -> Stack:
    from pipelines import stack
    from pipelines.core.settings import Settings
    from pipelines.stack.environment import Ports

    return stack.up(Settings.load(), wanted=Ports(airflow=airflow_port, mlflow=mlflow_port), console=streams().aside)


def _say_where(stack: Stack) -> None:
    from rich.text import Text

    console = streams().result
    how = "was running" if stack.reused else f"started in {stack.seconds:.0f} s"
    where: dict[str, str | Text] = {
        "Airflow": Text.assemble((stack.airflow_url, f"link {stack.airflow_url}"), f"  ({how})"),
        "log in as": f"{stack.user}, password in {stack.password_file}",
        "MLflow": Text(stack.mlflow_url, style=f"link {stack.mlflow_url}"),
        "logs": str(stack.logs),
        "stop with": "make down (or `pipelines stack down`)",
    }
    for name, value in where.items():
        console.print(Text.assemble((f"{name:<14}", "bold"), value), soft_wrap=True)


def _show_status(found: dict[str, dict[str, str]]) -> None:
    from rich.table import Table

    if not found:
        streams().result.print("nothing was started; `pipelines stack up` does")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("process", "state", "pid", "address", "log"):
        table.add_column(column, overflow="fold")
    style = {"healthy": "green", "starting": "yellow", "dead": "red"}
    for name, process in found.items():
        state = process["state"]
        table.add_row(name, marked(f"[{style[state]}]{{}}[/]", state), process["pid"], process["url"], process["log"])
    streams().result.print(table)


def _show_failures(followed: Followed) -> None:
    for failure in followed.failures:
        note(marked("[bold red]✗ {}[/] ({})", failure.task, failure.kind))
        streams().aside.print(failure.message, soft_wrap=True, style="red")
