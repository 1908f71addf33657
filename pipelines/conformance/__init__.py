"""Does a project keep what the contract promises? `check_project` answers, check by named check."""

from pipelines.conformance import checks
from pipelines.conformance.subject import Subject
from pipelines.conformance.suite import CHECKS, Check, Outcome, Report, cases, check_project, run_check

__all__ = ["CHECKS", "Check", "Outcome", "Report", "Subject", "cases", "check_project", "checks", "run_check"]
