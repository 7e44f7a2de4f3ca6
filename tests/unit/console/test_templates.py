from __future__ import annotations

import re
from importlib.resources import files

from collector.archive.flips import State
from collector.console.filters import Filter, quick_ranges
from shared.clock import SystemClock
from shared.messages import Kind
from shared.texts import catalogue

_KEY = re.compile(r'\bt\("([a-z0-9.-]+)"\s*(~)?')
_ADDRESS = re.compile(
    r"""(?:src|href|action|xlink:href)\s*=\s*["']?\s*((?:https?:)?//[^"'\s>]+)""", re.IGNORECASE
)
_VIETNAMESE = re.compile("[ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ]", re.IGNORECASE)
TEMPLATES = sorted(files("collector.console").joinpath("templates").iterdir(), key=lambda file: file.name)


def test_every_text_of_a_page_is_in_the_catalogue() -> None:
    used = 0
    for template in TEMPLATES:
        for key, joined in _KEY.findall(template.read_text(encoding="utf-8")):
            used += 1
            if joined:  # "kind." ~ kind: the branch must be there
                assert any(known.startswith(key) for known in catalogue()), (template.name, key)
            else:
                assert key in catalogue(), (template.name, key)
    assert used > 80


def test_every_word_a_page_chooses_by_a_code_is_in_the_catalogue() -> None:
    chosen = {
        *(f"console.quick-{name}" for name, _ in quick_ranges(Filter(), SystemClock().now())),
        *(
            f"console.condition-{word}"
            for word in ("ok", "camera", "silent", "dead", "unstable", "never", "revoked")
        ),
        *(f"liveness.state.{state}" for state in (*State, "never", "revoked")),
        *(
            f"console.error.{status}.{part}"
            for status in (400, 403, 404, 405, 500, 503)
            for part in ("what", "hint")
        ),
        *(f"kind.{kind}" for kind in Kind),
        *(f"weekday.{day}" for day in range(1, 8)),
    }
    assert chosen <= catalogue().keys()


def test_no_page_names_a_foreign_host_a_script_or_an_inline_style() -> None:
    for template in TEMPLATES:
        source = template.read_text(encoding="utf-8")
        assert _ADDRESS.findall(source) == [], template.name
        assert "<script" not in source, template.name
        assert "style=" not in source, template.name
        assert not re.search(r"\son[a-z]+=", source), template.name


def test_no_vietnamese_sentence_hides_in_a_page() -> None:
    for template in TEMPLATES:
        source = (
            template.read_text(encoding="utf-8")
            .replace("Chuyển sang tiếng Việt", "")
            .replace("Tiếng Việt", "")
        )
        assert not _VIETNAMESE.search(source), template.name  # the switch names its language in that language
