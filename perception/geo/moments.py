"""States that say nothing of each other: of stills. Each holds at its own time and no other.

Imports the rest of this room.
"""

from perception.geo.state import State, checked


class Moments:
    """States by their exact time. refused: parts that were not believed, counted by reason."""

    alone = True

    def __init__(self) -> None:
        self.refused: dict[str, int] = {}
        self._states: dict[int, State] = {}

    def __len__(self) -> int:
        return len(self._states)

    def positions(self) -> list[State]:
        """Return the states that have a position, in time order."""
        return [s for _, s in sorted(self._states.items()) if "position" in s.pieces]

    def has(self, piece: str) -> bool:
        """Whether any state has a piece."""
        return any(piece in state.pieces for state in self._states.values())

    def add(self, state: State) -> None:
        """Take a state, or those parts of it that can be true; one without a piece counts too."""
        state, wrong = checked(state)
        for why in wrong:
            key = why if len(self.refused) < 40 or why in self.refused else "other"
            self.refused[key] = self.refused.get(key, 0) + 1
        self._states[state.t_ns] = state

    def at(self, t_ns: int, max_age_s: float) -> tuple[State, dict[str, float]]:
        """Return the state of this very time, and 0.0 s as the age of what it has.

        max_age_s: not used. The ages are empty where there is no state.
        """
        del max_age_s
        found = self._states.get(t_ns)
        if found is None:
            return State(t_ns=t_ns), {}
        return found, dict.fromkeys(("picture", *found.pieces), 0.0)
