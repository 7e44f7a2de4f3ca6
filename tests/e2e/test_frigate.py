"""A house whose only source is a Frigate: its event is found at the station, with a picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from shared.messages import Kind
from tests.e2e.street import PREPARED_MODELS, Street
from tests.frigate_peer import FrigatePeer
from tests.models import best_available_model

pytestmark = [pytest.mark.timeout(300)]


def test_what_frigate_saw_is_found_at_the_station_with_its_picture(tmp_path: Path, street_clip: Path) -> None:
    if not PREPARED_MODELS.is_dir():
        pytest.skip("no model prepared (packaging/check prepares one)")
    reader = cv2.VideoCapture(str(street_clip))
    picture = next(image for ok, image in iter(reader.read, None) if ok)
    reader.release()
    seen = next(one for one in best_available_model(tmp_path).detect(picture) if one.kind is Kind.PERSON).box
    corners = (int(seen.x * 768), int(seen.y * 576), int(seen.right * 768), int(seen.bottom * 576))
    (tmp_path / "frigate").mkdir()
    street = Street(tmp_path / "street", street_clip, quiet=True)
    with FrigatePeer(tmp_path / "frigate") as peer, street.children:
        street.found_station()
        street.start_collector()
        street.enrol()
        street.take_model()
        (street.home / "agent.toml").write_text(
            f'[frigate]\nurl = "{peer.url}"\nmqtt_host = "127.0.0.1"\nmqtt_port = {peer.mqtt_port}\n'
            '[frigate.cameras]\nfront_door = "cong-truoc"\n'
        )
        street.start_agent()
        street.wait_until(lambda: "/api/config" in peer.asked, "the agent asks Frigate")
        peer.sees("1790000000.123456-abc001", picture=picture, box=corners)
        peer.goes("1790000000.123456-abc001")
        found = street.find_person()
    assert found["camera"] == "cong-truoc"
