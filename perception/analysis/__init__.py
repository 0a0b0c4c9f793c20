"""Recordings frame by frame: the stages of the live line called in one process per recording.

Nothing is skipped, there are no sockets and no clocks but the recording's own, so two runs give
the same bytes.
"""
