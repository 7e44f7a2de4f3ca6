"""The life of a code: open once, for the one who knows it, within its day."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from collector.archive.register import Register, Site, SiteExists, SiteStatus, SiteUnknown
from collector.archive.schema import STATION_MIGRATIONS, open_database
from collector.intake.admission import Admission, Denied
from collector.intake.authority import Authority
from shared.enrolment import (
    CertificateAnswer,
    CertificateRequest,
    Code,
    Hello,
    HelloAnswer,
    Petition,
    RenewalRequest,
    client_proof,
    server_proof,
)
from tests.station import request_for

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SITE = "nha-ong-ba"
NONCE = "0" * 32


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Admission]:
    database = open_database(tmp_path / "station.db", STATION_MIGRATIONS)
    register = Register(database)
    register.add_site(Site(SITE, "Nhà ông Ba", "", SiteStatus.WAITING, NOW, None))
    yield Admission(register, Authority.create("Công an xã", NOW), 8883)
    database.close()


@pytest.fixture
def code(door: Admission) -> Code:
    return door.register.new_code(SITE, NOW)[0]


def request(code: Code, key: ec.EllipticCurvePrivateKey | None = None) -> CertificateRequest:
    pem = request_for(key or ec.generate_private_key(ec.SECP256R1()))
    return CertificateRequest(code_id=code.code_id, request_pem=pem, proof=client_proof(code.secret, pem))


def wrong(code: Code) -> CertificateRequest:
    return request(Code(code.code_id, "0" * 16))


def test_the_station_proves_that_it_knows_the_code(door: Admission, code: Code) -> None:
    answer = door.hello(Hello(code_id=code.code_id, nonce=NONCE), NOW)
    assert isinstance(answer, HelloAnswer)
    assert answer.proof == server_proof(code.secret, NONCE, answer.ca_pem)


def test_a_code_opens_once(door: Admission, code: Code) -> None:
    answer = door.certificate(request(code), NOW)
    assert isinstance(answer, CertificateAnswer)
    assert answer.site == SITE
    assert door.register.enrolled_sites() == {SITE}
    assert door.certificate(request(code), NOW) is Denied.USED, "another key"


def test_a_lost_answer_may_be_asked_for_again_by_the_same_key_for_ten_minutes(
    door: Admission, code: Code
) -> None:
    asked = request(code)
    first = door.certificate(asked, NOW)
    again = door.certificate(asked, NOW + timedelta(minutes=9))
    assert isinstance(first, CertificateAnswer)
    assert isinstance(again, CertificateAnswer)
    assert again.certificate_pem == first.certificate_pem
    assert door.certificate(asked, NOW + timedelta(minutes=11)) is Denied.USED
    assert door.hello(Hello(code_id=code.code_id, nonce=NONCE), NOW + timedelta(minutes=11)) is Denied.USED


def test_a_code_ends_after_its_day_and_its_secret_with_it(door: Admission, code: Code) -> None:
    late = NOW + timedelta(hours=24, seconds=1)
    assert door.hello(Hello(code_id=code.code_id, nonce=NONCE), late) is Denied.EXPIRED
    assert door.certificate(request(code), late) is Denied.EXPIRED
    row = door.register.code(code.code_id)
    assert row is not None
    assert row.code.secret == ""


def test_five_wrong_proofs_lock_a_code_even_for_its_owner(door: Admission, code: Code) -> None:
    for _ in range(5):
        assert door.certificate(wrong(code), NOW) is Denied.WRONG_PROOF
    assert door.certificate(request(code), NOW) is Denied.LOCKED
    assert door.hello(Hello(code_id=code.code_id, nonce=NONCE), NOW) is Denied.LOCKED


def test_four_typing_errors_are_forgiven(door: Admission, code: Code) -> None:
    for _ in range(4):
        assert door.certificate(wrong(code), NOW) is Denied.WRONG_PROOF
    assert isinstance(door.certificate(request(code), NOW), CertificateAnswer)


def test_a_bad_request_with_a_good_proof_leaves_the_code_unused(door: Admission, code: Code) -> None:
    pem = "-----BEGIN CERTIFICATE REQUEST-----"
    bad = CertificateRequest(code_id=code.code_id, request_pem=pem, proof=client_proof(code.secret, pem))
    assert door.certificate(bad, NOW) is Denied.BAD_REQUEST
    assert isinstance(door.certificate(request(code), NOW), CertificateAnswer)


def test_an_unknown_code_is_denied(door: Admission, code: Code) -> None:
    stranger = Code("ZZZZ" if code.code_id != "ZZZZ" else "YYYY", code.secret)
    assert door.hello(Hello(code_id=stranger.code_id, nonce=NONCE), NOW) is Denied.UNKNOWN_CODE
    assert door.certificate(request(stranger), NOW) is Denied.UNKNOWN_CODE


def test_a_new_code_ends_the_old_one(door: Admission, code: Code) -> None:
    new, _ = door.register.new_code(SITE, NOW)
    assert door.certificate(request(code), NOW) is Denied.UNKNOWN_CODE
    assert isinstance(door.certificate(request(new), NOW), CertificateAnswer)


def test_a_site_never_has_two_certificates_in_force(door: Admission, code: Code) -> None:
    first = door.certificate(request(code), NOW)
    new, _ = door.register.new_code(SITE, NOW)
    second = door.certificate(request(new), NOW + timedelta(hours=1))
    assert isinstance(first, CertificateAnswer)
    assert isinstance(second, CertificateAnswer)
    old = x509.load_pem_x509_certificate(first.certificate_pem.encode())
    assert [serial for serial, _ in door.register.revoked_certificates(NOW)] == [f"{old.serial_number:x}"]
    assert door.register.certificate_in_force(SITE) == second.certificate_pem


def test_a_revoked_site_gets_nothing_by_its_old_code_and_comes_back_by_a_new_one(
    door: Admission, code: Code
) -> None:
    asked = request(code)
    door.certificate(asked, NOW)
    door.register.revoke(SITE, NOW)
    assert door.certificate(asked, NOW) is Denied.USED
    assert door.register.enrolled_sites() == frozenset()
    assert door.register.revoked_sites() == [SITE]
    new, _ = door.register.new_code(SITE, NOW)
    assert isinstance(door.certificate(request(new), NOW), CertificateAnswer)
    assert door.register.enrolled_sites() == {SITE}


def test_a_site_is_added_once_and_must_exist(door: Admission) -> None:
    with pytest.raises(SiteExists):
        door.register.add_site(Site(SITE, "", "", SiteStatus.WAITING, NOW, None))
    for act in (door.register.new_code, door.register.revoke):
        with pytest.raises(SiteUnknown):
            act("nha-khong-co", NOW)


def test_a_failure_in_the_middle_leaves_the_code_unused(
    door: Admission, code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(*_: object, **__: object) -> None:
        raise OSError("power")

    with monkeypatch.context() as patched:
        patched.setattr(Register, "_end_certificates", torn)
        with pytest.raises(OSError, match="power"):
            door.certificate(request(code), NOW)
    assert isinstance(door.certificate(request(code), NOW), CertificateAnswer)


# ---- renewal -----------------------------------------------------------------------------------


def der(answer: CertificateAnswer) -> bytes:
    certificate = x509.load_pem_x509_certificate(answer.certificate_pem.encode())
    return certificate.public_bytes(serialization.Encoding.DER)


def renewal(key: ec.EllipticCurvePrivateKey | None = None, machine: str = "") -> RenewalRequest:
    pem = request_for(key or ec.generate_private_key(ec.SECP256R1()))
    return RenewalRequest(request_pem=pem, machine=machine)


@pytest.fixture
def first(door: Admission, code: Code) -> CertificateAnswer:
    answer = door.certificate(request(code), NOW)
    assert isinstance(answer, CertificateAnswer)
    return answer


def test_a_renewal_leaves_one_certificate_in_force(door: Admission, first: CertificateAnswer) -> None:
    answer = door.renewal(renewal(), der(first), NOW)
    assert isinstance(answer, CertificateAnswer)
    assert door.register.certificate_in_force(SITE) == answer.certificate_pem
    assert door.register.keys_of(SITE) == (answer.certificate_pem, first.certificate_pem)


def test_the_superseded_certificate_opens_only_its_own_answer_again(
    door: Admission, first: CertificateAnswer
) -> None:
    asked = renewal()
    answer = door.renewal(asked, der(first), NOW)
    assert door.renewal(asked, der(first), NOW + timedelta(days=20)) == answer.model_copy(
        update={"now": NOW + timedelta(days=20)}
    )
    assert door.renewal(renewal(), der(first), NOW) is Denied.SUPERSEDED
    assert isinstance(answer, CertificateAnswer)
    assert isinstance(door.renewal(renewal(), der(answer), NOW), CertificateAnswer)
    assert door.renewal(asked, der(first), NOW) is Denied.SUPERSEDED, "its successor is superseded itself"


def test_a_renewal_keeps_neither_the_key_nor_another_machine(door: Admission, code: Code) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    asked = request(code, key).model_copy(update={"machine": "a" * 16})
    first = door.certificate(asked, NOW)
    assert isinstance(first, CertificateAnswer)
    assert door.renewal(renewal(key), der(first), NOW) is Denied.BAD_REQUEST
    assert door.renewal(renewal(machine="b" * 16), der(first), NOW) is Denied.OTHER_MACHINE
    assert isinstance(door.renewal(renewal(machine="a" * 16), der(first), NOW), CertificateAnswer)


def test_what_a_site_signed_before_it_was_shut_out_is_believed_no_more(
    door: Admission, first: CertificateAnswer
) -> None:
    renewed = door.renewal(renewal(), der(first), NOW)
    assert isinstance(renewed, CertificateAnswer)
    door.register.revoke(SITE, NOW)
    assert door.register.keys_of(SITE) == ()
    assert door.renewal(renewal(), der(renewed), NOW) is Denied.REVOKED
    assert door.renewal(renewal(), der(first), NOW) is Denied.REVOKED
    assert door.renewal(renewal(), None, NOW) is Denied.NO_CERTIFICATE


def test_the_database_itself_refuses_a_second_certificate_in_force(
    door: Admission, first: CertificateAnswer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Register, "_end_certificates", lambda *_, **__: None)
    with pytest.raises(sqlite3.IntegrityError):
        door.renewal(renewal(), der(first), NOW)
    assert door.register.certificate_in_force(SITE) == first.certificate_pem


def test_the_same_petition_is_given_the_same_certificate(door: Admission) -> None:
    asked = Petition(request_pem=request_for(ec.generate_private_key(ec.SECP256R1())))
    pem = door.petition(asked, SITE, NOW)
    assert door.petition(asked, SITE, NOW + timedelta(hours=1)) == pem
    assert door.register.enrolled_sites() == {SITE}
