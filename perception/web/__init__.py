"""The page: live video, alerts and recordings in a browser, and the API behind it.

One process with one event loop, started by `perception run` where the launch file has `web:`. It
runs no network, reads messages as a listener and ends alone. Needs the extra `web`.
"""

from importlib.metadata import version

VERSION = version("perception-line")
