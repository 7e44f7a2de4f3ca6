"""The identity on the disk: whole or not at all, through every power cut, and only on its own machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from agent.uplink import identity, machine
from agent.uplink.enroll import key_pem
from agent.uplink.identity import AlreadyEnrolled, NotEnrolled, Papers
from agent.uplink.machine import OtherMachine
from agent.uplink.renew import due_at
from collector.intake.authority import Authority
from shared.enrolment import Petition, same_code, short_code
from tests.station import request_for

NOW = datetime(2026, 11, 23, tzinfo=UTC)
HERE = {"serial": "a" * 16, "machine-id": "b" * 16}


def papers(site: str = "nha-ong-ba") -> Papers:
    key = ec.generate_private_key(ec.SECP256R1())
    authority = Authority.create("xã", NOW)
    issued = authority.sign_request(request_for(key), site, NOW)
    return Papers(site, "localhost", 8883, key_pem(key), issued.pem, authority.pem, 9443)


def test_an_identity_is_not_replaced_by_accident(tmp_path: Path) -> None:
    with pytest.raises(NotEnrolled):
        identity.load(tmp_path)
    saved = identity.save(tmp_path, papers())
    assert identity.load(tmp_path) == saved
    assert saved.enrolment_port == 9443
    with pytest.raises(AlreadyEnrolled):
        identity.save(tmp_path, papers())


def test_the_one_before_stays_until_the_new_one_was_let_in(tmp_path: Path) -> None:
    first, second = papers(), papers()
    identity.save(tmp_path, first)
    ours = identity.save(tmp_path, second, replace=True)
    assert ours.certificate.read_text() == second.certificate_pem
    assert (tmp_path / "identity.previous" / "site.crt").read_text() == first.certificate_pem
    identity.forget_previous(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["identity"]


@pytest.mark.parametrize("cut_at", [1, 2])
def test_a_power_cut_while_replacing_leaves_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_at: int
) -> None:
    identity.save(tmp_path, papers())
    renewed, renames, rename = papers(), [0], Path.rename

    def cut(path: Path, target: Path) -> Path:
        if target.parent == tmp_path:
            renames[0] += 1
            if renames[0] > cut_at:
                raise OSError("power")
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", cut)
        with pytest.raises(OSError, match="power"):
            identity.save(tmp_path, renewed, replace=True)
    assert identity.load(tmp_path).certificate.read_text() == renewed.certificate_pem


def test_an_identity_fits_only_the_machine_it_was_made_for(tmp_path: Path) -> None:
    assert machine.same(HERE, HERE)
    assert not machine.same(HERE, HERE | {"serial": "c" * 16}), "the card was copied with its machine-id"
    assert machine.same(HERE, {"machine-id": "b" * 16}), "the serial number may be unreadable to a service"
    assert machine.same(HERE, {"serial": "a" * 16, "machine-id": "c" * 16}), "the board says more"
    assert machine.same({}, HERE), "enrolled before there were marks"
    (tmp_path / machine.FILE).write_text('{"serial": "dddddddddddddddd"}')
    with pytest.raises(OtherMachine):
        machine.check(tmp_path, "nha-ong-ba", HERE)


def test_marks_tell_no_serial_number(tmp_path: Path) -> None:
    (tmp_path / "serial").write_bytes(b"100000003d1d1c36\0")
    told = machine.marks({"serial": tmp_path / "serial", "product": tmp_path / "none"})
    assert set(told) == {"serial"}
    assert "3d1d1c36" not in told["serial"]


def test_renewal_is_due_from_day_60_on_spread_over_three_days(tmp_path: Path) -> None:
    moments = set()
    for _ in range(20):
        certificate = x509.load_pem_x509_certificate(papers().certificate_pem.encode())
        moments.add(due_at(certificate))
        assert timedelta(days=60) <= due_at(certificate) - NOW <= timedelta(days=63)
        assert due_at(certificate) == due_at(certificate)
    assert len(moments) == 20


def test_a_short_code_is_read_by_tired_eyes() -> None:
    one, other = Petition(request_pem="x"), Petition(request_pem="y")
    assert short_code(one) != short_code(other)
    assert same_code(short_code(one).lower().replace("-", " ").replace("0", "o"), short_code(one))
    assert not same_code(short_code(other), short_code(one))
