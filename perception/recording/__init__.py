"""What a run leaves behind: annotated video, tracks as text, the summary."""
