"""Eight no-op stages here: every result stored by content with fsync; then the same answered from the store."""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

STEPS, REPEATS = int(sys.argv[1]), int(sys.argv[2])
HOME = Path(tempfile.mkdtemp())
os.environ.update(PIPELINES_HOME=str(HOME), PIPELINES_PROJECTS=str(HOME / "projects"))

from pipelines import __version__  # noqa: E402 - the settings come first
from pipelines.core.execution import Session  # noqa: E402
from pipelines.core.graph import Graph, Output, Stage  # noqa: E402
from pipelines.core.run import Run  # noqa: E402
from pipelines.runners import in_process  # noqa: E402

FOLDER = HOME / "projects" / "noop"
FOLDER.mkdir(parents=True)
(FOLDER / "__init__.py").write_text('"""Nothing to do."""\n')
(FOLDER / "params.yaml").write_text(
    "ingest: {dataset: none}\ntrain: {candidates: {none: {}}}\nevaluate: {metric: none}\nprofiles: {full: {}}\n"
)
sys.path.insert(0, str(HOME))
(HOME / "noop_stage.py").write_text("def step(context):\n    return {context.node.stage.writes[0].name: 1}\n")
CHAIN = Graph(
    "noop",
    tuple(
        Stage(f"s{i}", "noop_stage:step", "Nothing.", reads=(f"v{i}",) if i else (), writes=(Output(f"v{i + 1}", "json"),))
        for i in range(STEPS)
    ),
    (),
)


def seconds(fresh: bool) -> float:
    session = Session(Run(project="noop", fresh=fresh))
    session.graph = CHAIN
    started = time.perf_counter()
    in_process.run(session)
    return time.perf_counter() - started


seconds(fresh=True)
for kind, fresh in (("stored", True), ("reused", False)):
    print(json.dumps({"name": f"pipelines {__version__}, {kind}", "seconds": [seconds(fresh) for _ in range(REPEATS)]}))
