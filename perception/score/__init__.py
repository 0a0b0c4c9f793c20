"""The score card: how right a result is, by labels of one's own footage. No processes.

Labels come from CVAT, COCO, MOTChallenge or Label Studio (formats.py). Boxes are scored by
faster-coco-eval, tracks by TrackEval (extra `eval`); alerts by our own count (alerts.py). Imports
launchfile and below.
"""
