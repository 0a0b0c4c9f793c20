"""A changed launch file taken into a running line: rules, zones and lines without a restart.

Only the alert process is started again, with the new plan. It asks tracking for the messages that
it missed, as after a kill. A file that is wrong, or that changes anything else, is refused.
Imports plan, rundir and child.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from perception.errors import PerceptionError
from perception.supervision.child import Child
from perception.transport import rundir
from perception.wire import plan as plans
from perception.wire.plan import CameraPlan, Plan

TAKEN = ("zones", "lines", "rules", "budget_ms")
"""What of a camera may change in a running line."""
RENEWED = ("alert",)
"""Kinds of processes that are started anew; the others read the plan themselves."""


class Reload:
    """Waits for somebody to ask for it. load: returns the plan of the launch file as it is now."""

    def __init__(self, run_dir: Path, load: Callable[[], Plan] | None) -> None:
        self._run_dir, self._load = run_dir, load

    def turn(self, plan: Plan, children: list[Child]) -> Plan:
        """Return the plan that holds now; where it is a new one, its processes are renewed."""
        asked = self._run_dir / rundir.RELOAD
        if not asked.exists():
            return plan
        asked.unlink(missing_ok=True)
        try:
            if self._load is None:
                raise PerceptionError("this line was not started from a launch file")
            new = merged(plan, self._load())
        except PerceptionError as error:
            self._answer(f"not taken: {error}")
            return plan
        if new == plan:
            self._answer("nothing has changed")
            return plan
        plans.write(new, self._run_dir / rundir.PLAN)
        for child in children:
            if child.process.kind in RENEWED:
                child.renew()
        self._answer("taken")
        return new

    def _answer(self, text: str) -> None:
        part = self._run_dir / f"{rundir.RELOADED}.part"
        with contextlib.suppress(OSError):
            part.write_text(text)
            part.replace(self._run_dir / rundir.RELOADED)


def merged(old: Plan, new: Plan) -> Plan:
    """Return the old plan with what may change of the new one.

    Raises PerceptionError, which names what else has changed.
    """
    if list(old.cameras) != list(new.cameras):
        raise PerceptionError("other cameras need a new start")
    cameras: dict[str, CameraPlan] = {}
    for name, before in old.cameras.items():
        after = new.cameras[name]
        taken = {field: getattr(after, field) for field in TAKEN}
        cameras[name] = msgspec.structs.replace(before, **taken)
        other = [
            field
            for field in before.__struct_fields__
            if field not in TAKEN and getattr(before, field) != getattr(after, field)
        ]
        if other:
            raise PerceptionError(f"{name}: a change of {', '.join(other)} needs a new start")
    for field in ("detectors", "tracker", "sinks", "identity"):
        if getattr(old, field) != getattr(new, field):
            raise PerceptionError(f"a change of {field} needs a new start")
    return msgspec.structs.replace(old, cameras=cameras)
