"""The DAGs of fashion: `fashion_training` and `fashion_monitoring`."""

from pipelines.runners.airflow import build

training, monitoring = build("fashion")
