"""Progress of a run in this process: a line per stage, on stderr, live on a terminal and plain elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from pipelines.cli.output import marked, streams
from pipelines.core.artifacts import StageResult
from pipelines.core.execution import Progress
from pipelines.core.graph import Node
from pipelines.runners.in_process import Quiet

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


def watching(nodes: Sequence[Node]) -> Lines:
    """What shows these nodes run: bars on a terminal, lines in a log."""
    return Live(nodes) if streams().aside.is_terminal else Lines(nodes)


class Lines(Quiet):
    """One line per finished stage."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.width = max(len(node.name) for node in nodes)
        self.count = 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def finished(self, node: Node, result: StageResult) -> None:
        self.count += 1
        place = f"{self.count:>{len(str(len(self.nodes)))}}/{len(self.nodes)}"
        streams().aside.print(marked(f"{{}} {{:<{self.width}}} {outcome(result)}", place, node.name))


class Live(Lines):
    """All stages at once, the running ones with a spinner and their newest word."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        from rich.progress import Progress as Bars
        from rich.progress import SpinnerColumn, TextColumn

        super().__init__(nodes)
        self.bars: Bars = Bars(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.fields[shown]}"),
            TextColumn("{task.fields[word]}"),
            console=streams().aside,
        )
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Live:
        self.bars.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            for name, task in self.tasks.items():
                if not self.bars.tasks[task].finished:
                    self.bars.update(task, total=1, completed=1, word="[red]stopped", shown=f"[red]{name:<{self.width}}")
        self.bars.__exit__(kind, error, trace)

    def started(self, node: Node) -> Progress:
        task = self.bars.add_task("", total=None, word="", shown=f"{node.name:<{self.width}}")
        self.tasks[node.name] = task

        from rich.markup import escape

        def progress(done: int, total: int, message: str) -> None:
            self.bars.update(task, word=f"[cyan]{_bar(done, total)} {done}/{total}[/] [dim]{escape(message)}")

        return progress

    def finished(self, node: Node, result: StageResult) -> None:
        self.bars.update(self.tasks[node.name], total=1, completed=1, word=outcome(result))


def outcome(result: StageResult) -> str:
    """`reused`, or how long it took, with its style."""
    return "[dim]reused[/]" if result.reused else f"{result.seconds:.1f} s"


def _bar(done: int, total: int, width: int = 12) -> str:
    full = round(width * done / total) if total else 0
    return "━" * full + "╌" * (width - full)
