"""What an officer may do to a site from its page: by whom, once, and with the reason when it is not taken."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import UUID

import uuid6

from collector.archive import asking
from collector.archive.configurations import Configurations, changed
from collector.archive.orders import Orders
from shared.commands import HoldFootage, Outcome, Reply, TestFrame
from shared.messages import Thumbnail
from tests.integration.console.browser import Answer, Browser, hidden_fields
from tests.integration.console.conftest import Served

SITE = "cho-moi"  # the other site's state is the other tests'
PAGE = f"/agents/{SITE}"


def given(served: Served) -> list[tuple[str, str]]:
    database = served.folder.open_station()
    orders = Orders(database).newest(SITE, 100)
    database.close()
    return [(order.command.errand.verb, order.by) for order in reversed(orders)]


def fill_in(officer: Browser, verb: str, **fields: str) -> dict[str, str]:
    """The form of the page, as a person would fill it in."""
    return {**hidden_fields(officer.get(PAGE).text, f"{PAGE}/commands"), "verb": verb, **fields}


def done(command: UUID, at: datetime, picture: Thumbnail | None = None) -> Reply:
    answer = {"id": uuid6.uuid7(), "command": command, "site": SITE, "answered_at": at, "picture": picture}
    return Reply(outcome=Outcome.DONE, **answer)


def test_a_command_is_given_once_however_often_its_form_is_sent(served: Served, officer: Browser) -> None:
    before = len(given(served))
    form = fill_in(officer, "pause", camera="cong", minutes="60")
    answers = [officer.post(f"{PAGE}/commands", form) for _ in range(3)]
    assert {(answer.status, answer.location) for answer in answers} == {(303, f"{PAGE}?given=pause#commands")}
    assert given(served)[before:] == [("pause", served.account)]
    again = officer.post(f"{PAGE}/commands", form | {"camera": "ngo"})
    assert again.status == 303
    assert len(given(served)) == before + 2, "other words are another command"
    page = officer.get(f"{PAGE}?given=pause").text
    assert "Đã ghi lệnh: Tạm dừng" in page
    assert "chưa gửi" in page
    assert "hết hạn" in page
    assert served.account in page


def test_a_command_that_is_not_right_is_shown_again_with_the_reason(served: Served, officer: Browser) -> None:
    before = given(served)
    reversed_times = {"since": "24/11/2026 21:30", "until": "24/11/2026 21:00"}
    form = fill_in(officer, "hold-footage", camera="cong", case="12/<b>", **reversed_times)
    refused = officer.post(f"{PAGE}/commands", form)
    assert refused.status == 400
    assert "until" in refused.text
    assert "sau lúc bắt đầu" in refused.text
    assert 'value="12/&lt;b&gt;"' in refused.text, "what was typed is not typed twice"
    for wrong in (
        {"verb": "pause", "minutes": "9999999"},
        {"verb": "format-disk"},
        {"verb": "update", "version": "9.1", "sha256": "a" * 64, "size_bytes": "5"},
        {"verb": "restart-camera", "camera": "../etc"},
    ):
        assert officer.post(f"{PAGE}/commands", fill_in(officer, **wrong)).status == 400
    assert given(served) == before


def test_nobody_gives_a_command_by_a_form_that_is_not_ours(served: Served, officer: Browser) -> None:
    before = given(served)
    form = fill_in(officer, "resume")
    for path in (f"{PAGE}/commands", f"{PAGE}/configuration"):
        assert officer.post(path, form | {"form_token": "x"}).status == 403
        assert officer.post(path, form, Origin="https://evil.example").status == 403
        assert served.browser().post(path, form).status == 403
        assert officer.get(path).status == 405
    assert given(served) == before


def test_a_site_that_is_not_ours_takes_no_command(officer: Browser) -> None:
    form = fill_in(officer, "resume")
    assert officer.get("/agents/khong-co").status == 404
    assert officer.post("/agents/khong-co/commands", form).status == 404
    assert officer.post("/agents/khong-co/configuration", form).status == 404


def test_what_is_held_is_listed_until_the_box_has_let_it_go(served: Served, officer: Browser) -> None:
    now = datetime.now(UTC)
    database = served.folder.open_station()
    orders = Orders(database)
    since = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
    hold = HoldFootage(camera="cong", since=since, until=now, case="vụ 77/2026")
    command = asking.command(SITE, hold, now, UUID(str(uuid6.uuid7())))
    orders.give(command, "truc-dem")
    orders.answered(done(command.id, now))
    database.close()
    page = officer.get(PAGE).text
    assert "Đang được giữ theo đề nghị của trạm" in page
    assert "vụ 77/2026" in page
    form = fill_in(officer, "release-footage", camera="cong", case="vụ 77/2026")
    assert officer.post(f"{PAGE}/commands", form).status == 303
    assert given(served)[-1] == ("release-footage", served.account)
    assert "Đang được giữ" in officer.get(PAGE).text, "only the box's word ends it"


def test_a_test_picture_is_sent_to_officers_and_by_its_own_site_only(
    served: Served, officer: Browser
) -> None:
    now, jpeg = datetime.now(UTC), served.pictures[0]
    database = served.folder.open_station()
    orders = Orders(database)
    command = asking.command(SITE, TestFrame(camera="cong"), now, UUID(str(uuid6.uuid7())))
    orders.give(command, "truc-dem")
    picture = Thumbnail(sha256="a" * 64, size_bytes=len(jpeg), width=384, height=288, taken_at=now)
    orders.keep_frame(command.id, picture.sha256, jpeg, now)
    address = f"{PAGE}/frames/{command.id}.jpg"
    assert officer.get(address).status == 404, "before the box has said that it is this one"
    said = Reply(
        id=uuid6.uuid7(),
        command=command.id,
        site=SITE,
        answered_at=now,
        outcome=Outcome.DONE,
        picture=picture,
    )
    orders.answered(said)
    database.close()
    assert officer.get(address).body == jpeg
    assert officer.get(address).headers["cache-control"] == "no-store"
    assert address in officer.get(PAGE).text
    assert officer.get(address.replace(SITE, "nha-ong-ba")).status == 404
    assert served.browser().get(address).status == 303


def wish(officer: Browser, **fields: str) -> Answer:
    hidden = hidden_fields(officer.get(PAGE).text, f"{PAGE}/configuration")
    empty = {"uplink_kbps": "", "quiet_hours": "", "detect_fps": ""}
    return officer.post(f"{PAGE}/configuration", {**hidden, **empty, **fields})


def newest(served: Served) -> tuple[int, str, dict[str, object]]:
    database = served.folder.open_station()
    desired = Configurations(database).newest(SITE)
    database.close()
    assert desired
    return desired.wish.revision, desired.by, desired.wish.model_dump(exclude_none=True)


def test_a_wish_is_a_new_revision_by_who_made_it_and_the_same_again_is_none(
    served: Served, officer: Browser
) -> None:
    assert wish(officer, uplink_kbps="256", detect_fps="2,5").location == f"{PAGE}?wished=1#configuration"
    revision, by, said = newest(served)
    assert by == served.account
    assert (said["uplink_kbps"], said["detect_fps"]) == (256, 2.5)
    assert wish(officer, uplink_kbps="256", detect_fps="2.5").location == f"{PAGE}?wished=0#configuration"
    assert newest(served)[0] == revision
    page = officer.get(PAGE).text
    assert re.search(r'name="uplink_kbps" value="256"', page)
    assert "chờ áp dụng" in page
    refused = wish(officer, quiet_hours="đêm")
    assert refused.status == 400
    assert "giờ viết như 22:00-06:00" in refused.text
    assert 'value="đêm"' in refused.text
    assert newest(served)[0] == revision


def test_who_looked_at_an_older_wish_is_told_and_nothing_is_written_over(
    served: Served, officer: Browser
) -> None:
    hidden = hidden_fields(officer.get(PAGE).text, f"{PAGE}/configuration")
    database = served.folder.open_station()
    kept = Configurations(database)
    kept.keep(changed(kept.newest(SITE), SITE, {"uplink_kbps": 777}), "truc-dem", datetime.now(UTC))
    database.close()
    late = officer.post(f"{PAGE}/configuration", {**hidden, "uplink_kbps": "1"})
    assert late.status == 400
    assert "Người khác vừa đổi" in late.text
    assert newest(served)[2]["uplink_kbps"] == 777
