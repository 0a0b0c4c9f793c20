"""From boxes to the world: time to collision. Plain objects in media time.

Imports wire and kernels.
"""
