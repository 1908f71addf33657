"""Eight no-op steps in Metaflow, local: each step is a process of its own; artifacts are stored by content."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import metaflow

STEPS, REPEATS = int(sys.argv[1]), int(sys.argv[2])


def flow() -> str:
    lines = ["from metaflow import FlowSpec, step", "class Chain(FlowSpec):"]
    names = ["start", *(f"s{i}" for i in range(1, STEPS - 1)), "end"]
    for here, after in zip(names, [*names[1:], None], strict=True):
        lines += ["    @step", f"    def {here}(self):", "        self.value = getattr(self, 'value', 0) + 1"]
        lines += [f"        self.next(self.{after})"] if after else []
    return "\n".join([*lines, "if __name__ == '__main__':", "    Chain()"]) + "\n"


with tempfile.TemporaryDirectory() as folder:
    script = Path(folder) / "chain.py"
    script.write_text(flow())
    environment = {**os.environ, "USERNAME": "bench", "METAFLOW_DATASTORE_SYSROOT_LOCAL": folder, "METAFLOW_HOME": folder}

    def seconds(*arguments: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, str(script), *arguments], check=True, capture_output=True, env=environment, cwd=folder)
        return time.perf_counter() - started

    seconds("run")
    empty = min(seconds("show") for _ in range(3))  # start-up and parsing, without running a step
    print(
        json.dumps(
            {"name": f"Metaflow {metaflow.__version__}, local", "seconds": [seconds("run") - empty for _ in range(REPEATS)]}
        )
    )
