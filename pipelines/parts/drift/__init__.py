"""Drift with a stated false-alarm rate: a frozen reference, and windows compared with it. Knows no project and no tool."""

from pipelines.parts.drift.channels import Kind
from pipelines.parts.drift.family import Channels, as_channels
from pipelines.parts.drift.reference import Reference, Watching

__all__ = ["Channels", "Kind", "Reference", "Watching", "as_channels"]
