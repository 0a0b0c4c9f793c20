"""The page: live video, alerts and recordings in a browser, and the API behind it.

One process with one event loop, started by `perception run` where the launch file has `web:`. It
runs no neural network, only listens to the line, and its end stops nothing else. Needs the extra
`web`.
"""

from importlib.metadata import version

VERSION = version("perception-line")
