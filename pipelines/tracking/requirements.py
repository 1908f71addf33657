"""What a registered model needs installed: read from the project's source, nothing is run to find out."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from pipelines.core.execution import Session

_IMPORT = re.compile(r"^\s*(?:import|from)\s+([A-Za-z_]\w*)", re.MULTILINE)
_PACKAGE = re.compile(r"^(\w+)(?:/__init__)?\.py,", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def requirements(session: Session) -> list[str]:
    """Pins of those of the platform's dependencies that the project's code, and what it uses of the platform, import.

    The platform itself is not among them: it is in no public index, and a package of its name there would be another's.
    """
    modules = session.code.closure([f"pipelines.projects.{session.run.project}", "pipelines.tracking.flavour"])
    imported = {name for file in modules.values() for name in _IMPORT.findall(file.read_text(encoding="utf-8"))}
    pins = set()
    for need in distribution("pipelines").requires or []:
        named = _NAME.match(need)
        assert named, f"not a requirement: {need!r}"
        try:
            found = distribution(named.group())
        except PackageNotFoundError:
            continue
        if imported & _modules(found):
            public = found.version.partition("+")[0]  # torch 2.13.0+cpu: a build is the machine's choice, and in no usual index
            pins.add(f"{named.group()}=={public}")
    return sorted(pins)


def _modules(found: Distribution) -> set[str]:
    """What a distribution is imported as: scikit-learn is `sklearn`."""
    return set((found.read_text("top_level.txt") or "").split()) | set(_PACKAGE.findall(found.read_text("RECORD") or ""))
