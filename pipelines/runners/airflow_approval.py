"""The task that asks a person before a promotion is carried out. It holds no worker and no triggerer while it waits.

It asks only where there is something to say yes to: not for a winner that the gates refused, nor twice for one decision. The
answer is kept with the decision (`core/approvals`), and the stage `promote` does what it says.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param

from pipelines.core.deployment import Approval

log = logging.getLogger("pipelines")

APPROVE, REJECT = "Approve", "Reject"


class ApprovePromotion(HITLOperator):  # type: ignore[misc]
    """Shows a decision with its evidence; the reviewer approves or rejects, and may say why."""

    def __init__(self, *, project: str, title: str, approval: Approval, **rest: Any) -> None:
        super().__init__(
            subject=f"{title}: promote the new model?",
            options=[APPROVE, REJECT],
            defaults=REJECT,
            params={"reason": Param("", type="string", title="Reason", description="It stays in the model's history.")},
            response_timeout=approval.within,
            assigned_users=[{"id": name, "name": name} for name in approval.reviewers] or None,
            **rest,
        )
        self.project, self.within = project, approval.within

    def execute(self, context: Any) -> Any:
        """Ask, unless there is nothing to ask."""
        from pipelines.runners.airflow_task import open_session
        from pipelines.tracking import open_runs
        from pipelines.tracking.review import review

        session = open_session(context, self.project, "training")
        self.body = review(session)
        if self.body is None:
            log.info("nothing to approve: the decision is not to promote, or a person has answered it before")
            return None
        open_runs.wait(session, self.within)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> None:
        """Keep the answer; of nobody's, that it came too late."""
        from pipelines.core.approvals import Answer
        from pipelines.runners.airflow_task import open_session
        from pipelines.tracking.review import answered

        told = super().execute_complete(context, event)
        user = told["responded_by_user"]
        late = f"nobody answered within {self.within}"
        answer = Answer(
            approved=bool(user) and told["chosen_options"] == [APPROVE],
            by=user["name"] if user else "nobody",
            at=told["responded_at"],
            why=str(told["params_input"].get("reason") or "") if user else late,
        )
        log.info("%s", answered(open_session(context, self.project, "training"), answer))
