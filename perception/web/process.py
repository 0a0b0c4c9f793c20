"""The web process: one event loop that serves the page. It only listens to the line."""

import asyncio
import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

from anyio import to_thread

from perception.errors import ConfigError
from perception.processes.runtime import Runtime
from perception.recording.ledger import Ledger
from perception.web.hub import Hub
from perception.web.listener import Listener
from perception.web.users_file import UsersFile
from perception.wire import AlertMessage, HealthMessage
from perception.wire.plan import WebPlan

NICE = 5
THREADS = 6
"""Requests that are worked on at once; each thread has its own memory."""
_TURN_S = 0.2


def run(runtime: Runtime) -> None:
    """Serve until the run stops."""
    asked = runtime.plan.web
    if asked is None:
        raise ConfigError("this line serves no page")
    os.nice(NICE)
    asyncio.run(_serve(runtime, asked))


async def _serve(runtime: Runtime, asked: WebPlan) -> None:
    from perception.web.app import make_app
    from perception.web.server import make_server
    from perception.web.site import Site

    to_thread.current_default_thread_limiter().total_tokens = THREADS
    folder = Path(asked.folder) if asked.folder else None
    mapped = [name for name, plan in runtime.plan.cameras.items() if plan.telemetry is not None]
    hub, ledger = Hub(runtime.plan.cameras, secrets.token_hex(4), mapped), Ledger()
    site = Site(runtime.plan, asked, runtime.run_dir, UsersFile(folder), hub)
    server = make_server(make_app(site, ledger), site, runtime.log.info)
    cameras = list(runtime.plan.cameras)
    packets = [name for name, plan in runtime.plan.cameras.items() if plan.has_packets]
    everything = {
        "packets": packets,
        "frames": cameras,
        "tracks": cameras,
        "alerts": cameras,
        "identities": runtime.plan.cameras_of("identity"),
        "health": [process.name for process in runtime.plan.processes],
    }
    waking: set[asyncio.Task[None]] = set()

    def take(messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, HealthMessage):
                ledger.take(message)
            else:
                hub.take(message)
        if any(isinstance(message, AlertMessage) for message in messages):
            task = asyncio.create_task(hub.tell_events())
            waking.add(task)
            task.add_done_callback(waking.discard)

    listener = Listener(runtime.run_dir, everything, asyncio.get_running_loop(), take)
    for inbox in listener.inboxes.values():
        runtime.count_rejected(inbox.rejected)
    listener.start()
    serving = asyncio.create_task(server.serve())
    runtime.ready()
    try:
        while not runtime.stopping and not serving.done():
            runtime.turn()
            if runtime.took_new_plan():
                site.line = runtime.plan
            listener.ask(hub.wanted)
            runtime.metrics.gauge("viewers", len(hub.viewers))
            await asyncio.sleep(_TURN_S)
    finally:
        server.should_exit = server.force_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        listener.end()
        site.close()
