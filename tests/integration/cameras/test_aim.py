"""`agent aim`: its options, its page, and what strangers get. A real camera, HTTP, and Debian's Chromium."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import cv2
import numpy as np
import pytest
import typer
from playwright.sync_api import Browser, Page
from typer.testing import CliRunner

from agent.cameras import credentials, masks, reference, register
from agent.cameras.aim import Aim
from agent.cameras.aim_server import AimServer
from agent.cameras.masks import CameraMasks, LiveMasks, MaskInvalid
from agent.cameras.reference import ImageCheck
from agent.cameras.register import CameraEntry
from agent.commands import aim as command
from agent.commands.cameras import CameraUnknown
from agent.vision.frame import Image
from agent.vision.thumbnail import encode
from shared.clock import SystemClock
from shared.geometry import Box
from shared.texts import Language, text
from tests.chromium import launched
from tests.conftest import REPOSITORY
from tests.fakes import frame
from tests.integration.cameras.conftest import right_login, until
from tests.virtual_camera import VirtualCamera

CLOCK = SystemClock()
LEFT = CameraMasks(polygons=(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),))


@pytest.fixture
def home(tmp_path: Path, camera: VirtualCamera, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANNINH_HOME", str(tmp_path))
    monkeypatch.setenv("ANNINH_LANGUAGE", "vi")
    entry = CameraEntry(
        name="gate",
        onvif_url=camera.onvif_url,
        detect_url=camera.stream_url("sub"),
        picture_url=camera.stream_url("main"),
    )
    register.save(tmp_path, [entry])
    credentials.save(tmp_path, "gate", right_login())
    return tmp_path


def entry_in(home: Path) -> CameraEntry:
    return register.load(home)[0]


def left(image: Image) -> Image:
    return image[:, : image.shape[1] // 2]


def right(image: Image) -> Image:
    return image[:, round(image.shape[1] * 0.53) :]


@pytest.fixture
def server(home: Path) -> Iterator[AimServer]:
    session = Aim(home, entry_in(home), credentials.load(home, "gate"), CLOCK)
    with session, AimServer(session, CLOCK, "127.0.0.1") as served:
        session.picture(60)
        yield served


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    policy: str
    caching: str


def ask(url: str, path: str = "", body: bytes | None = None, kind: str = "text/plain") -> Answer:
    parts = urlsplit(url)
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
        method = "GET" if body is None else "POST"
        connection.request(method, parts.path + path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        policy = answer.headers["Content-Security-Policy"]
        return Answer(answer.status, answer.read(), policy, answer.headers["Cache-Control"])


def picture(content: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(command.aim)
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_one_command_masks_and_takes_the_reference(home: Path) -> None:
    run("gate", "--mask", "0,0 0.5,0 0.5,1 0,1", "--save")
    assert masks.load(home, "gate") == LEFT
    view = reference.load(home, "gate")
    assert view is not None
    assert not left(view).any()
    assert right(view).mean() > 30
    assert reference.path(home, "gate").stat().st_mode & 0o077 == 0


def test_a_mask_drawn_later_blackens_the_reference_view_too(home: Path) -> None:
    run("gate", "--save")
    before = reference.load(home, "gate")
    assert before is not None
    assert left(before).mean() > 30
    run("gate", "--mask", "0,0 0.5,0 0.5,1 0,1")
    after = reference.load(home, "gate")
    assert after is not None
    assert not left(after).any()
    assert np.array_equal(right(after), right(before))
    run("gate", "--clear-masks")
    assert masks.load(home, "gate") == masks.NONE
    still = reference.load(home, "gate")
    assert still is not None
    assert not left(still).any()  # what was black on disk does not come back


@pytest.mark.parametrize(
    "typed", ["", "0,0 1,1", "0,0 0.5,0.5 1,1", "0,0 2,0 1,1", "0,0 nan,0 1,1", "a,b c,d e,f"]
)
def test_what_is_no_polygon_is_refused_and_changes_nothing(home: Path, typed: str) -> None:
    masks.save(home, "gate", LEFT)
    with pytest.raises(MaskInvalid):
        run("gate", "--clear-masks", "--mask", typed)
    assert masks.load(home, "gate") == LEFT


def test_a_mask_for_a_name_nobody_has_is_refused_but_frigates_cameras_have_theirs(home: Path) -> None:
    with pytest.raises(CameraUnknown):
        run("gat", "--mask", "0,0 0.5,0 0.5,1 0,1")
    assert not (home / masks.FILE).exists()
    (home / "agent.toml").write_text(
        '[frigate]\nurl = "http://192.0.2.1:5000"\nmqtt_host = "192.0.2.1"\n[frigate.cameras]\n'
        'back = "san-sau"\n'
    )
    run("san-sau", "--mask", "0,0 0.5,0 0.5,1 0,1")
    assert masks.load(home, "san-sau") == LEFT


def test_a_masked_neighbour_is_not_in_the_thumbnail_either(home: Path) -> None:
    masks.save(home, "gate", LEFT)
    with Aim(home, entry_in(home), credentials.load(home, "gate"), CLOCK) as session:
        session.picture(60)
        full = session.main_picture()
    assert full.shape == (576, 768, 3)
    shown = picture(encode(full, Box(0.05, 0.3, 0.2, 0.4)).jpeg)
    assert shown.max() < 40  # JPEG rings a little where black ends, nothing else


def test_the_check_takes_up_a_new_reference_and_ignores_what_is_masked(home: Path) -> None:
    run("gate", "--save")
    view = reference.load(home, "gate")
    assert view is not None
    check = ImageCheck(home, "gate", LiveMasks(home, "gate", CLOCK))
    turned = np.roll(view, 90, axis=1)
    for second in range(0, 200, 10):
        check.look(frame(turned, float(second), "gate"))
    assert check.cause == "image-turned"
    reference.save(home, "gate", turned)
    check.look(frame(turned, 200.0, "gate"))
    assert check.cause == ""


def test_strangers_get_nothing_and_the_page_nothing_from_elsewhere(server: AimServer) -> None:
    url = server.url("127.0.0.1")
    root = url.rsplit("/", 2)[0] + "/"
    for path in ("", "live.jpg", "main.jpg", "masks", "state", "A" * 22 + "/live.jpg", "../live.jpg"):
        answer = ask(root, path)
        assert (answer.status, answer.body) == (404, b"")
    assert ask(root, "save", b"{}", "application/json").status == 404
    page = ask(url)
    content = page.body.decode()
    assert page.status == 200
    assert not re.search(r"https?://|//[a-z]", content)
    assert "default-src 'none'" in page.policy
    assert page.caching == "no-store"
    assert ask(url, "../../../etc/passwd").status == 404


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"polygons": [[[0,0],[0.5,0],[0.5,1]]]}', "text/plain"),  # what a form of another site can send
        (b'{"polygons": [[[0,0],[5,0],[0.5,1]]]}', "application/json"),
        (b'{"polygons": [[[0,0],[0.5,0]]]}', "application/json"),
        (b'{"polygons": [], "more": 1}', "application/json"),
        (b"[" * 20_000, "application/json"),
        (b" " * 70_000, "application/json"),
    ],
)
def test_what_is_no_drawing_is_refused(server: AimServer, home: Path, body: bytes, kind: str) -> None:
    assert ask(server.url("127.0.0.1"), "save", body, kind).status == 400
    assert not (home / masks.FILE).exists()
    assert not server.saved.is_set()


def test_the_page_speaks_both_languages(server: AimServer) -> None:
    url = server.url("127.0.0.1")
    assert text("aim.page.save", Language.VI) in ask(url).body.decode()
    assert text("aim.page.save", Language.EN) in ask(url, "?lang=en").body.decode()
    assert ask(url, "?lang=xx").status == 200


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def opened(browser: Browser, url: str, width: int, height: int, *, touch: bool) -> Page:
    page = browser.new_context(viewport={"width": width, "height": height}, has_touch=touch).new_page()
    page.set_default_timeout(60_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda request: faults.append(request.url))
    page.goto(url)
    until(lambda: page.evaluate("document.getElementById('live').naturalWidth > 0"), "a picture on the page")
    page.wait_for_selector("#hints.good, #hints.bad")
    assert faults == []
    return page


@pytest.mark.parametrize(("width", "height", "touch"), [(360, 740, True), (1024, 768, False)])
def test_an_installer_draws_a_mask_saves_and_the_pixels_are_black(
    chromium: Browser, server: AimServer, home: Path, width: int, height: int, *, touch: bool
) -> None:
    page = opened(chromium, server.url("127.0.0.1"), width, height, touch=touch)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = page.locator("#drawing").bounding_box()
    assert box is not None

    def point(x: float, y: float) -> None:
        at = box["x"] + x * box["width"], box["y"] + y * box["height"]
        page.touchscreen.tap(*at) if touch else page.mouse.click(*at)

    for x, y in ((0.1, 0.1), (0.6, 0.1), (0.6, 0.8), (0.9, 0.9)):
        point(x, y)
    page.click("#undo")  # the last corner was a slip
    point(0.1, 0.8)
    page.click("#close")
    folder = REPOSITORY / ".build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"aim-{width}.png", full_page=True)
    page.click("#save")
    page.wait_for_selector("#result.good")
    assert page.text_content("#result") == text("aim.page.saved")
    page.screenshot(path=folder / f"aim-{width}-saved.png", full_page=True)
    assert server.saved.is_set()
    (polygon,) = masks.load(home, "gate").polygons
    assert np.allclose(polygon, ((0.1, 0.1), (0.6, 0.1), (0.6, 0.8), (0.1, 0.8)), atol=1.5 / width)
    view = reference.load(home, "gate")
    assert view is not None
    rows, columns = view.shape[:2]
    assert not view[int(rows * 0.12) : int(rows * 0.78), int(columns * 0.12) : int(columns * 0.58)].any()
    assert view[:, int(columns * 0.65) :].mean() > 30
    until(
        lambda: not server.aim.picture()[rows // 4 : rows // 2, columns // 4 : columns // 2].any(),
        "live mask",
    )


def test_masks_that_are_there_are_shown_and_can_be_removed(
    chromium: Browser, server: AimServer, home: Path
) -> None:
    masks.save(home, "gate", LEFT)
    page = opened(chromium, server.url("127.0.0.1") + "?lang=en", 1024, 768, touch=False)
    page.click("#clear")
    page.click("#save")
    page.wait_for_selector("#result.good")
    assert masks.load(home, "gate") == masks.NONE


def test_the_command_serves_the_page_and_ends_once_it_is_saved(home: Path) -> None:
    child = subprocess.Popen(
        [str(Path(sys.executable).parent / "agent"), "aim", "gate", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert child.stdout is not None
        url = ""
        for line in child.stdout:
            if found := re.search(r"http://\S+", line):
                url = found.group()
                break
        with urlopen(url + "live.jpg", timeout=30) as answer:
            assert picture(answer.read()).shape[1] == 640
        saved = ask(url, "save", LEFT.model_dump_json().encode(), "application/json")
        assert saved.status == 200
        assert not left(picture(saved.body))[:, :-16].max() > 40
        assert child.wait(30) == 0
        assert masks.load(home, "gate") == LEFT
    finally:
        child.kill()
        child.communicate()
