"""The score page in a real browser: offline, without script, and fit for screen readers (E4)."""

from pathlib import Path
from typing import Any

import pytest

from perception.score.page import page
from perception.score.pictures import pictures
from perception.score.worst import worst
from tests.browsing import CHROMIUM, axe, browser, shot
from tests.clips import write_clip
from tests.unit.test_score_page import full_card

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
    pytest.mark.timeout(300),
]


def test_e4_opens_offline_and_passes_axe(tmp_path: Path) -> None:
    card = full_card()
    cases = worst(card, False, 0)
    clip = write_clip(tmp_path / "clip.mp4", frames=120, size=(1280, 720), fps=10)
    path = tmp_path / "card.html"
    path.write_text(page(card, cases, pictures(clip, cases), False, 0))
    with browser() as looked:
        for width in (1200, 390):
            shown: Any = looked.page(f"file://{path}", width=width, scheme="light", user=None)
            broken = "[...document.images].filter(i => !i.naturalWidth).length"
            assert shown.evaluate("document.images.length") > 20
            assert shown.evaluate(broken) == 0
            assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
            shot(shown, f"score-{width}")
            assert not axe(shown), width
        assert not looked.complaints
