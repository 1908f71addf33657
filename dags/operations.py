"""What people start to operate any project: `rollback`, `retention`."""

from pipelines.runners import airflow_operations

rollback = airflow_operations.rollback()
retention = airflow_operations.retention()
