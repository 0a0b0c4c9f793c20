"""The routes of the API, one file a subject. Each declares who may call it (permissions.py)."""

from perception.web.api import (
    account,
    alerts,
    cameras,
    maps,
    people,
    recordings,
    search,
    shapes,
    storage,
    streams,
    system,
    timeline,
    users,
    why,
)

ALL = (
    *(account.api, cameras.api, maps.api, shapes.api, streams.api, alerts.api, timeline.api),
    *(storage.api, recordings.api, search.api, why.api, people.api, system.api, users.api),
)
