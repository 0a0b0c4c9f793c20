"""Class names of a model file: every form in which an exporter may write them."""

import logging

import numpy as np
import pytest

from perception.detectors import model, sessions
from perception.detectors.model import OnnxDetector, OnnxOptions
from perception.detectors.names import MAX_CHARS, parse_names

PERSON = 'it\'s a "person"'


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (repr({0: PERSON, 1: "b"}), [PERSON, "b"]),
        ("{0: 'it\\'s a \"person\"'}", [PERSON]),
        ("{1: 'b', 0: 'a',}", ["a", "b"]),
        ("{0: 'two\\nlines', 1: '\U0001f436'}", ["two lines", "\U0001f436"]),
        ("['a', 'b',]", ["a", "b"]),
        ("('a', 'b')", ["a", "b"]),
        ('["a", "b"]', ["a", "b"]),
        ('{"0": "a", "1": "b"}', ["a", "b"]),
        ('{"0": "\\u00e9", "1": null}', None),
        ("{0: 'a', 2: 'c'}", ["a", "class_1", "c"]),
        ("0: a\n1: b\n", ["a", "b"]),
        ("- a\n- b\n", ["a", "b"]),
        ("{0: 'esc\\x1b[31m'}", ["esc [31m"]),
        ("person", None),
        ("{0: 'a", None),
        ("{'x': 'a'}", None),
        ("{-1: 'a'}", None),
        ("{1000000000: 'a'}", None),
        ("[]", None),
        ("[" * 50_000, None),
        ("__import__('os')", None),
        ("['" + "a" * MAX_CHARS + "']", None),
    ],
)
def test_names_are_read_or_refused(text: str, names: list[str] | None) -> None:
    assert parse_names(text) == names


def test_unreadable_names_are_a_warning_and_numbered(monkeypatch, caplog) -> None:
    output = np.full((1, 6, 84), 0.5, np.float32)
    output[:, :4] = 20

    class Network:
        facts = sessions.Facts((64, 64), None, "", "{0: 'a")

        def shapes(self, canvas):
            return [output.shape]

        def compile(self, canvas, *, rgb, divisor):
            return lambda _: [output]

    monkeypatch.setattr(model, "open_network", lambda *_, **__: Network())
    with caplog.at_level(logging.WARNING):
        detector = OnnxDetector(OnnxOptions())
    assert detector.names == {0: "class_0", 1: "class_1"}
    assert "class names cannot be read" in caplog.text
    caplog.clear()
    assert OnnxDetector(OnnxOptions(names=["x", "y"])).names == {0: "x", 1: "y"}
    assert not caplog.text
