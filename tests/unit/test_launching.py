"""What commands share before anything is started."""

from perception.commands import start as launching
from perception.commands.start import load_plan, warm_up
from perception.launchfile import warm


def test_kernels_are_told_of_once_also_where_they_have_to_be_compiled(
    tmp_path, monkeypatch, capsys
):
    plans = []

    def prepare(plan, progress):
        plans.append(plan)
        progress(10, 10, "")

    monkeypatch.setattr(warm, "is_compiled", lambda: bool(plans))
    monkeypatch.setattr(warm, "prepare", prepare)
    file = tmp_path / "launch.yaml"
    file.write_text("cameras: {a: {source: push}}\ndetectors: {default: {model: none.onnx}}\n")
    monkeypatch.setattr(launching.resolving, "resolve", lambda *_: "a plan")
    warm_up(load_plan(file, None))
    assert plans == [None, "a plan"]
    assert capsys.readouterr().out.count("kernels and models") == 1
