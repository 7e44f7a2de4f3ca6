"""What `agent doctor` and the station say of a camera, whatever code it came with."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from agent.cameras import register
from agent.cameras.register import CameraEntry
from agent.detectors import models_folder, put_in_force
from agent.detectors.known import KNOWN as KNOWN_MODELS
from agent.examine import STATUS, examine
from agent.health import KNOWN, Severity
from agent.settings import AgentSettings
from agent.vision.image_health import CODES
from shared.messages import CameraHealth, CameraState, ClockQuality, Heartbeat
from shared.texts import Language, catalogue, text
from tests.fakes import NOON

_OF_THE_BOX = {
    "station-unreachable", "collector-absent",
    "broker-full", "not-authorised", "messages-refused", "not-enrolled",
    "certificate-expiring", "no-cameras", "camera-other", "camera-connecting", "model-missing",
    "model-changed", "model-unmeasured", "model-loses", "clock-unsynchronised", "disk-low", "not-running",
    "zones-invalid", "zones-unknown-camera", "disk-worn", "power-weak", "power-throttled", "too-hot",
    "memory-growing",
}  # fmt: skip


def doctor_says(home: Path, cause: str) -> tuple[str, Severity]:
    """The sentence about the one camera, when a heartbeat carries this cause."""
    url = "rtsp://192.0.2.7/1"
    register.save(home, [CameraEntry(name="gate", onvif_url=url, detect_url=url, picture_url=url)])
    beat = Heartbeat(
        site="nha-ba",
        sent_at=NOON,
        boot_id="b",
        agent_version="0",
        uptime_s=1,
        clock_quality=ClockQuality.SYNCED,
        outbox_waiting=0,
        cameras=(CameraHealth(camera="gate", state=CameraState.DEGRADED, cause=cause),),
    )
    (home / STATUS).write_text(beat.model_dump_json())
    found = examine(home, AgentSettings(), NOON, running=True, synchronised=True)
    (problem,) = [one for one in found.problems if one.subject == "gate"]
    assert problem.do()
    return problem.what(), problem.severity


@pytest.mark.parametrize("code", CODES)
def test_each_image_fault_is_a_ticket_with_the_cameras_name(tmp_path: Path, code: str) -> None:
    sentence, severity = doctor_says(tmp_path, code)
    assert "gate" in sentence
    assert severity is (Severity.PASSING if code == "image-web-or-rain" else Severity.BROKEN)


def test_a_camera_that_connects_is_not_taken_for_the_station(tmp_path: Path) -> None:
    assert "gate" in doctor_says(tmp_path, "connecting")[0]


def test_a_code_of_another_version_is_said_as_it_is(tmp_path: Path) -> None:
    assert "image-on-fire" in doctor_says(tmp_path, "image-on-fire")[0]


def test_every_cause_of_a_camera_has_few_words_for_the_stations_table() -> None:
    for code in KNOWN.keys() - _OF_THE_BOX:
        assert f"cause.{code}" in catalogue(), code
        for language in Language:
            assert len(text(f"cause.{code}", language)) <= 60


def test_zones_that_stop_the_start_or_are_nobodys_are_said(tmp_path: Path) -> None:
    def codes() -> set[tuple[str, str]]:
        found = examine(tmp_path, AgentSettings(), NOON, running=False, synchronised=True)
        return {(one.code, one.subject) for one in found.problems if one.code.startswith("zones")}

    zones = tmp_path / "zones.toml"
    zones.write_text("[gate]\nmin_height = 0.1\n")
    assert codes() == {("zones-unknown-camera", "gate")}
    zones.write_text("[gate]\nmin_height = 7\n")
    assert codes() == {("zones-invalid", "")}
    zones.unlink()
    assert codes() == set()


def test_a_box_that_cannot_keep_up_is_told_which_way_out(tmp_path: Path) -> None:
    sentence, severity = doctor_says(tmp_path, "detector-behind")
    assert "gate" in sentence
    assert severity is Severity.PASSING
    assert "agent bench" in text("problems.detector-behind.do")


@pytest.mark.parametrize(("is_exact", "said"), [(True, []), (False, ["model-loses"])])
def test_int8_where_it_was_measured_to_lose_is_said_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_exact: bool, said: list[str]
) -> None:
    weights = b"not run here"
    int8 = next(model for model in KNOWN_MODELS.values() if model.name == "yolo11n-320-int8")
    folder = models_folder(tmp_path) / int8.name
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(weights)
    int8.manifest("model.onnx", sha256(weights).hexdigest()).save(folder)
    put_in_force(tmp_path, int8.name)
    monkeypatch.setattr("agent.examine.is_exact", lambda: is_exact)
    problems = examine(tmp_path, AgentSettings(), NOON, running=False, synchronised=True).problems
    about_it = [problem for problem in problems if problem.code.startswith("model")]
    assert [problem.code for problem in about_it] == said
    for problem in about_it:
        assert "4.0" in problem.what()
        assert "agent bench --use" in problem.do()
