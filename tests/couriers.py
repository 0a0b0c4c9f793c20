"""Delivery by hand: a sink that fails as it is told to, alerts into a store, time that is given."""

from perception.clock import NS_PER_S
from perception.errors import SinkError, SinkRefused
from perception.sinks.when import When
from tests.scenes import alert


class Receiver:
    """A sink that is up, down, or refuses some alerts; remembers what it took and was asked.

    poison: track_ids that fail for now; refused: track_ids, refuses: a state that it never takes.
    got: (camera, track_id, state).
    """

    Options = When

    def __init__(self, **when):
        self.when = When(**{"expire_s": 1e10, **when})  # the alerts of scenes.py are years old
        self.down, self.poison, self.refused, self.refuses = False, set(), set(), ""
        self.got, self.tried = [], []

    @property
    def numbers(self):
        """Track ids of what it took, in order."""
        return [n for _, n, _ in self.got]

    def send(self, alert, picture):
        self.tried.append(alert.track_id)
        if self.down or alert.track_id in self.poison:
            raise SinkError("receiver: down")
        if alert.track_id in self.refused or alert.state == self.refuses:
            raise SinkRefused("receiver: answered 400")
        self.got.append((alert.camera, alert.track_id, alert.state))


def put(store, *alerts):
    """Commit alerts one by one; a number is the n-th raised at the door."""
    for a in alerts:
        a = alert(a) if isinstance(a, int) else a
        store.commit(a.camera, a.frame_id, [a], dict)


def run(courier, start_s, end_s, step_s=0.1):
    """Deliver every step_s from start to end; return how many deliveries that were."""
    return sum(
        courier.deliver(round((start_s + i * step_s) * NS_PER_S))
        for i in range(round((end_s - start_s) / step_s))
    )


def flap(courier, sink, times, down_s):
    """Have a sink down for down_s again and again from 1 s on, and up for one message."""
    for k in range(times):
        start_s = 1 + (down_s + 10) * k
        sink.down = True
        run(courier, start_s, start_s + down_s)
        sink.down = False
        for i in range(100):
            if courier.deliver(round((start_s + down_s + i / 10) * NS_PER_S)):
                break
