"""The DAGs of churn: `churn_training` and `churn_monitoring`."""

from pipelines.runners.airflow import build

training, monitoring = build("churn")
