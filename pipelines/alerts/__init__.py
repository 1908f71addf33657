"""Telling people what a run came to: failures, refused promotions, drift, missed deadlines.

What there is to tell follows from the records that every run leaves, so nothing has to be told while a stage is at work, and
a channel that is broken cannot harm a pipeline.
"""

from pipelines.alerts.alert import Alert, ended, missed, of_run
from pipelines.alerts.outbox import send

__all__ = ["Alert", "ended", "missed", "of_run", "send"]
