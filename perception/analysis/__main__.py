"""`python -m perception.analysis PLAN.json THREADS REQUESTS`: one recording; progress on stdout."""

import sys
from pathlib import Path

from perception import logs
from perception.analysis.recording import analyze
from perception.errors import PerceptionError
from perception.wire import plan


def _print(done: int, total: int | None) -> None:
    print(f"{done} of {total or 0}", flush=done % 10 == 0)


if __name__ == "__main__":
    try:
        threads, requests = int(sys.argv[2]), int(sys.argv[3])
        what = plan.decode(Path(sys.argv[1]).read_bytes())
        analyze(what, _print, threads=threads, requests=requests)
    except PerceptionError as error:
        print(logs.mask(str(error)), file=sys.stderr)
        sys.exit(error.exit_code)
