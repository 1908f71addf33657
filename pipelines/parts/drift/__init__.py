"""Drift with a stated false-alarm rate: a frozen reference, windows compared with it, evidence added up over windows. Knows no
project and no tool.
"""

from pipelines.parts.drift.channels import Kind
from pipelines.parts.drift.compared import Compared, Watching, p_value
from pipelines.parts.drift.family import Channels, as_channels
from pipelines.parts.drift.outcomes import Metric, Outcomes, jointly
from pipelines.parts.drift.reference import Reference
from pipelines.parts.drift.season import Part, Season
from pipelines.parts.drift.sequence import Seen, State, weigh

__all__ = [
    "Channels",
    "Compared",
    "Kind",
    "Metric",
    "Outcomes",
    "Part",
    "Reference",
    "Season",
    "Seen",
    "State",
    "Watching",
    "as_channels",
    "jointly",
    "p_value",
    "weigh",
]
