"""From the picture to the world: points followed, time to collision. Plain objects in media time.

Imports wire and kernels.
"""
