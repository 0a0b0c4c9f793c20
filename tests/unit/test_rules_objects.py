import pytest

from perception.errors import ConfigError
from perception.launchfile import config
from perception.launchfile import resolve as resolving
from perception.launchfile.document import parse
from perception.launchfile.warm import _load_models
from perception.wire.plan import Plan
from tests.line import EXTENSION

LAUNCH = """
cameras:
  door:
    source: push
    {objects}
    rules:
      visitor: {{type: visit, objects: [{wanted}]}}
detectors:
  default: {{type: blobs}}
"""


def resolve(objects: str, wanted: str) -> Plan:
    document = parse(LAUNCH.format(objects=objects, wanted=wanted), "door.yaml")
    return resolving.resolve(document.validate(config.Launch, document.data), document)


def test_a_rule_for_what_the_camera_leaves_out_is_told_with_its_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(EXTENSION)
    with pytest.raises(ConfigError, match="did you mean 'person'") as caught:
        resolve("objects: [person, car]", "persn")
    assert caught.value.line == 7
    assert caught.value.key == "cameras.door.rules.visitor.objects"
    assert resolve("objects: [person, car]", "person").cameras["door"].rules


def test_a_rule_for_what_the_model_does_not_know_is_told_before_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(EXTENSION)
    with pytest.raises(ConfigError, match="'persn' is not one of the objects this model knows"):
        _load_models(resolve("", "persn"))
