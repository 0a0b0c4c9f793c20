"""Footage that is kept: coded packets in MP4 segments, messages in MCAP beside them, a catalog.

docs/recording.md describes the files. Imports wire and below; nothing here knows a socket.
"""
