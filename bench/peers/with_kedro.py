"""Eight no-op steps in Kedro: SequentialRunner, in memory, and again with every step's result written as JSON."""

import json
import sys
import tempfile
import time
from pathlib import Path

import kedro
from kedro.io import AbstractDataset, DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline
from kedro.runner import SequentialRunner

STEPS, REPEATS = int(sys.argv[1]), int(sys.argv[2])


class JsonDataset(AbstractDataset[object, object]):
    def __init__(self, path: Path) -> None:
        self.path = path

    def _load(self) -> object:
        return json.loads(self.path.read_text())

    def _save(self, data: object) -> None:
        self.path.write_text(json.dumps(data))

    def _describe(self) -> dict[str, object]:
        return {"path": str(self.path)}


def step(value: int) -> int:
    return value + 1


chain = pipeline([node(step, f"v{i}", f"v{i + 1}", name=f"step{i}") for i in range(STEPS)])


def seconds(make: object) -> float:
    with tempfile.TemporaryDirectory() as folder:
        datasets = {f"v{i}": make(Path(folder) / f"{i}.json") for i in range(STEPS + 1)}
        datasets["v0"].save(0)
        started = time.perf_counter()
        SequentialRunner().run(chain, DataCatalog(datasets))
        return time.perf_counter() - started


for kind, make in (("in memory", lambda path: MemoryDataset()), ("JSON files", JsonDataset)):
    seconds(make)
    print(json.dumps({"name": f"Kedro {kedro.__version__}, {kind}", "seconds": [seconds(make) for _ in range(REPEATS)]}))
