"""Files of the line, sent to browsers: only those that a row names, only below its folders.

Imports site and problems.
"""

from pathlib import Path

from fastapi.responses import FileResponse

from perception.web.problems import not_found
from perception.web.site import Site


def send_file(site: Site, path: str | Path | None, media_type: str) -> FileResponse:
    """Return a file, whole or the Range that is asked for. Raises 404 where it may not be sent.

    path: as a row of the store or catalog has it, never of a request.
    """
    if path is None:
        raise not_found("this file")
    found = Path(path)
    roots = [Path(site.line.folder)]
    if site.line.recordings is not None:
        roots.append(Path(site.line.recordings.folder))
    whole = found.resolve()
    if found.is_symlink() or not any(whole.is_relative_to(root.resolve()) for root in roots):
        raise not_found("this file")
    if not whole.is_file():
        raise not_found("this file")
    return FileResponse(whole, media_type=media_type, headers={"cache-control": "private"})
