"""The names of all files below a folder of recordings, read in one pass.

100,000 segments are 300,000 names: a pass for each kind of file took half a minute at each start.
"""

import os
from pathlib import Path

from perception.footage.segment import PART

CLIPS = "clips"


class Listing:
    """What is in a folder. videos: segments, path without suffix; parts: files not yet whole.

    Paths are relative to the folder, with `/`. A file that comes or goes later is not noticed.
    """

    def __init__(self, root: Path, torn: str) -> None:
        """torn: suffix of messages that a repair has set aside."""
        self.videos: list[str] = []
        self.parts: list[str] = []
        for folder, _, names in os.walk(root):  # links to folders are not followed
            place = os.path.relpath(folder, root)
            before = "" if place == "." else f"{place}/"
            clips = place.rpartition("/")[2] == CLIPS
            for name in names:
                if name.endswith((PART, torn)):
                    self.parts.append(before + name)
                elif name.endswith(".mp4") and not clips:
                    self.videos.append(before + name[:-4])
        self.videos.sort()
        self.parts.sort()
