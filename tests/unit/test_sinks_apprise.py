import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from perception.errors import SinkError
from perception.sinks import sink_class
from tests.scenes import alert

pytest.importorskip("apprise")


def make(*urls, **options):
    cls = sink_class("apprise")
    return cls(cls.Options(urls=urls, **options), None)


@pytest.fixture
def receiver():
    """A server that takes apprise's json:// messages; `status` is what it answers."""
    got, answer = [], {"status": 200}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answer["status"])
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}/", got, answer
    server.shutdown()
    thread.join()
    server.server_close()


def test_people_are_told_of_a_raise_with_the_picture(receiver, tmp_path):
    url, got, _ = receiver
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    sink = make(url)
    sink.send(alert(1, snapshot=str(path)), None)
    (message,) = got
    assert message["title"] == "door: person"
    assert message["message"] == "entered: person (zone: path)"
    assert len(message["attachments"]) == 1
    assert sink.when.once
    assert sink.when.wants(alert(1))
    assert not sink.when.wants(alert(1, "cleared"))


def test_texts_are_the_users_own(receiver):
    url, got, _ = receiver
    sink = make(url, title="{class_name} at {camera}", body="{state}", picture=False)
    sink.send(alert(1, snapshot="/no/such/file.jpg"), None)
    assert (got[0]["title"], got[0]["message"]) == ("person at door", "raised")
    assert not got[0].get("attachments")


@pytest.mark.parametrize("name", ["a\nb\r\x1b[31m\u202ec", "{camera.__class__}", "<script>", "%s"])
def test_what_a_name_holds_is_only_text(receiver, name):
    url, got, _ = receiver
    make(url, title="x {class_name}").send(alert(1, class_name=name), None)
    title = got[0]["title"]
    assert not set(title) & set("\n\r\x1b\u202e")
    assert title.endswith(name[-1])


def test_a_message_not_taken_is_an_error_without_the_url(receiver):
    url, _, answer = receiver
    answer["status"] = 500
    with pytest.raises(SinkError) as caught:
        make(url).send(alert(1), None)
    assert "127.0.0.1" not in str(caught.value)


def test_a_url_that_apprise_does_not_know_is_named_without_its_secrets():
    cls = sink_class("apprise")
    with pytest.raises(ValidationError) as caught:
        cls.Options(urls=["json://127.0.0.1/", "telegramm://token/secret"])
    text = "Value error, URL 2 (telegramm:...) is no notification URL that apprise knows"
    assert caught.value.errors()[0]["msg"] == text
    assert "token" not in repr(sink_class("apprise").Options(urls=["json://me:token@127.0.0.1/"]))


@pytest.mark.parametrize(
    "text", ["{who}", "{camera.name}", "{0}", "{}", "{camera!r}", "{camera:9}"]
)
def test_a_text_with_other_fields_is_refused(text):
    with pytest.raises(ValidationError, match="is not one of camera"):
        make("json://127.0.0.1/", body=text)


def test_more_states_may_be_asked_for():
    sink = make("json://127.0.0.1/", only={"state": ["raised", "cleared"]})
    assert sink.when.wants(alert(1, "cleared"))
