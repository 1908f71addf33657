"""What may go: artifacts, snapshots and temporary files that neither a retained run nor the history refers to.

`survey` looks and changes nothing; each pile it returns says what could go and how large that is, and can take it away. See
`roots.py` for what stays, and `pipelines/core/sweep.py` for how that is safe while pipelines run.
"""

from pipelines.retention.pile import Pile, report
from pipelines.retention.survey import GRACE, survey

__all__ = ["GRACE", "Pile", "report", "survey"]
