"""The result files of a run: annotated video, tracks, maps, summary."""
