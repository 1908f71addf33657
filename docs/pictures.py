"""Make the pictures in docs/images: `python docs/pictures.py flow` needs nothing, `… screens` needs a running stack.

flow     docs/images/flow.svg, drawn from the graph
screens  Airflow's page of the newest churn run and MLflow's, in the system's Chromium
drift    the newest drift report of churn in this installation, as docs/projects/churn.md makes it
fashion  figures of the run that made fashion's champion, on the test images
"""

from __future__ import annotations

import json
import shutil
import sys
from html import escape
from pathlib import Path

from pipelines.core.graph import MONITORING, TRAINING, Stage

IMAGES = Path(__file__).parent / "images"
BOX, HIGH, GAP, LEFT = 118, 46, 22, 16
COLOURS = {"data": "#2f6f9f", "features": "#3b8a6e", "train": "#8a6d3b", "decide": "#7a4a8c", "monitor": "#a3513f"}


def flow() -> None:
    """The two chains, a box a stage, coloured by group; the names under a box are what it writes."""
    rows = [(TRAINING, 40), (MONITORING, 190)]
    width = LEFT * 2 + len(TRAINING) * (BOX + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 270" font-family="system-ui, sans-serif" role="img">',
        "<title>The training chain and the monitoring chain</title>",
        '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#888"/></marker></defs>',
        f'<rect width="{width}" height="270" rx="8" fill="#fff"/>',
    ]
    for stages, top in rows:
        for index, stage in enumerate(stages):
            parts += _box(stage, LEFT + index * (BOX + GAP), top, last=index == len(stages) - 1)
    parts.append("</svg>")
    (IMAGES / "flow.svg").write_text("\n".join(parts) + "\n", encoding="utf-8")


def _box(stage: Stage, x: int, y: int, *, last: bool) -> list[str]:
    label = f"{stage.name} × each" if stage.each else stage.name
    written = [output.name for output in stage.writes]
    lines = [", ".join(written[i : i + 2]) for i in range(0, min(len(written), 6), 2)]
    shadow = [f'<rect x="{x + 4}" y="{y - 4}" width="{BOX}" height="{HIGH}" rx="6" fill="#c9b58b"/>'] if stage.each else []
    arrow = [] if last else [f'<path d="M{x + BOX + 2} {y + HIGH / 2}h{GAP - 5}" stroke="#888" marker-end="url(#a)"/>']
    return [
        *shadow,
        f'<rect x="{x}" y="{y}" width="{BOX}" height="{HIGH}" rx="6" fill="{COLOURS[stage.group]}"/>',
        f'<text x="{x + BOX / 2}" y="{y + 28}" font-size="14" fill="#fff" text-anchor="middle">{escape(label)}</text>',
        *(
            f'<text x="{x + BOX / 2}" y="{y + HIGH + 15 + 13 * n}" font-size="10" fill="#555" text-anchor="middle">{escape(line)}</text>'
            for n, line in enumerate(lines)
        ),
        *arrow,
    ]


def screens() -> None:
    """Screenshots of the running stack, as a person sees it after `make run`."""
    from playwright.sync_api import sync_playwright

    from pipelines.core.settings import Settings
    from pipelines.stack import running

    state = running(Settings.load())
    password = json.loads(state.password_file.read_text())["admin"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{state.airflow_url}/auth/login/")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", password)
        page.click("button[type=submit]")
        page.wait_for_load_state("networkidle")
        runs = page.request.get(f"{state.airflow_url}/api/v2/dags/churn_training/dagRuns?order_by=-start_date&limit=1").json()
        page.goto(f"{state.airflow_url}/dags/churn_training/runs/{runs['dag_runs'][0]['dag_run_id']}")
        page.wait_for_timeout(5000)
        page.screenshot(path=IMAGES / "airflow.png")
        asked = {"experiment_ids": ["1"], "max_results": 1, "filter": "tags.`pipelines.graph` = 'training'"}
        found = page.request.post(f"{state.mlflow_url}/api/2.0/mlflow/runs/search", data=asked).json()
        page.goto(f"{state.mlflow_url}/#/experiments/1/runs/{found['runs'][0]['info']['run_id']}")
        page.wait_for_timeout(5000)
        for close in page.query_selector_all("[aria-label=Close]"):  # of the assistant that MLflow opens at the first visit
            close.click()
        page.screenshot(path=IMAGES / "mlflow.png")
        browser.close()


def drift() -> None:
    """The page of the newest check, at the width of a laptop, without what the table says once more."""
    from playwright.sync_api import sync_playwright

    from pipelines.core.settings import Settings

    pages = (Settings.load().home / "reports" / "churn").glob("drift_report-*/index.html")
    newest = max(pages, key=lambda page: page.stat().st_mtime)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1000, "height": 1240})
        page.goto(newest.as_uri())
        page.screenshot(path=IMAGES / "churn-drift.png")
        browser.close()


def fashion() -> None:
    """What the champion's run drew, by name; the store of this installation has it."""
    from pipelines.core.execution import Session
    from pipelines.core.run import Run
    from pipelines.tracking import records, registry

    store = Session(Run(project="fashion")).store
    made = records.results(store, "fashion", registry.find("fashion").run, ["evaluate"])["evaluate"].outputs["figures"]
    folder = store.fetch(made)
    for name in ("candidates", "confusion", "mistakes", "robustness"):
        shutil.copyfile(folder / f"{name}.png", IMAGES / f"fashion-{name}.png")
    shutil.rmtree(folder)


if __name__ == "__main__":
    {"flow": flow, "screens": screens, "drift": drift, "fashion": fashion}[sys.argv[1] if len(sys.argv) > 1 else "flow"]()
