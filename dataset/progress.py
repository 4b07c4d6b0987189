"""How far a long stage has come."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a stage: ``done`` of ``total`` units. A stage yields these and, last, its result."""

    stage: str
    done: int
    total: int
    unit: str = "picture"
    note: str = ""
    """What is worth seeing beside the bar, such as ``accuracy=0.91``."""
