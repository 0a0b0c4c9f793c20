"""Where on earth a pixel is: a vehicle's state, its camera's pose, the ground, places of tracks.

Imports wire, kernels, clock and errors.
"""
