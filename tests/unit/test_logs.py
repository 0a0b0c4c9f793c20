import json
import multiprocessing
import os
from pathlib import Path

from perception import logs


def many_lines(path: Path, name: str, count: int) -> None:
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    log = logs.setup(name)
    for number in range(count):
        log.info("said", number=number, url="rtsp://me:hush@host/live")


def test_lines_of_processes_that_share_the_file_are_not_mixed(tmp_path):
    path, count, names = tmp_path / "log.jsonl", 2000, ["a", "b", "c"]
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=many_lines, args=(path, name, count)) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    said = [json.loads(line) for line in path.read_text().splitlines()]
    for name in names:
        assert [row["number"] for row in said if row["process"] == name] == [*range(count)]
    assert {row["url"] for row in said} == {"rtsp://me:***@host/live"}
