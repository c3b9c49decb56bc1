"""TLS material from files: what is good is taken, what is not is named with file and remedy, and no key is shown."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certs.authorities import load_authorities
from certs.chains import load_chain
from certs.contexts import client_context, load_identity
from certs.errors import CertError
from certs.files import MOST_BYTES
from certs.keys import check_key
from certs.peers import read_peer
from certs.pins import parse_pin, show_pin
from tests.support.certificates import Authority, Issued, encrypted

DAY = datetime.timedelta(days=1)


@pytest.fixture
def ours(tmp_path: Path) -> Issued:
    return Authority(tmp_path).issue("gateway.example")


def test_a_chain_and_its_key_are_an_identity(tmp_path: Path) -> None:
    root = Authority(tmp_path, "root")
    issued = Authority(tmp_path, "middle", root).issue("gateway.example")
    identity = load_identity(issued.file, issued.key)
    assert len(identity.chain.certificates) == 2
    assert identity.chain.certificates[0] == issued.certificate
    assert 3000 < identity.chain.not_after - time.time() <= 3600
    assert identity.chain.staleness(time.time()) is None
    context = client_context(authorities=load_authorities(root.file), identity=identity, alpn="dot")
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_time_is_no_fault_but_told(tmp_path: Path) -> None:
    authority, now = Authority(tmp_path), time.time()
    old = load_chain(authority.issue("a.example", lasts=-DAY, began=-2 * DAY).file).staleness(now)
    new = load_chain(authority.issue("b.example", lasts=2 * DAY, began=DAY).file).staleness(now)
    assert old is not None
    assert old.startswith("a certificate that expired on 2")
    assert new is not None
    assert new.startswith("a certificate that is not valid before 2")
    bundle = load_authorities(authority.file)
    assert bundle.staleness(now) is None
    assert bundle.staleness(now + 7200) == "authorities of which every one has expired"


def missing(path: Path, ours: Issued) -> None:
    path.unlink()


def is_fifo(path: Path, ours: Issued) -> None:
    path.unlink()
    os.mkfifo(path)


def is_directory(path: Path, ours: Issued) -> None:
    path.unlink()
    path.mkdir()


def huge(path: Path, ours: Issued) -> None:
    os.truncate(path, MOST_BYTES + 1)


def empty(path: Path, ours: Issued) -> None:
    path.write_bytes(b"")


def in_der(path: Path, ours: Issued) -> None:
    path.write_bytes(ours.certificate.public_bytes(Encoding.DER))


def broken(path: Path, ours: Issued) -> None:
    path.write_bytes(path.read_bytes()[:100])


def readable(path: Path, ours: Issued) -> None:
    path.chmod(0o644)


def with_password(path: Path, ours: Issued) -> None:
    path.write_bytes(encrypted(ours.secret))


def anothers(path: Path, ours: Issued) -> None:
    other = rsa.generate_private_key(65537, 2048)
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


Harm = Callable[[Path, Issued], None]
COMMON: list[tuple[Harm, str, str]] = [
    (missing, "can't be read (No such file", "put it there"),
    (is_fifo, "not a regular file", "name a PEM file"),
    (is_directory, "not a regular file", "name a PEM file"),
    (huge, "more than", "name a PEM file"),
    (empty, "no PEM", "openssl"),
    (in_der, "no PEM", "-inform DER"),
]


@pytest.mark.parametrize(
    ("harm", "found", "remedy"), [*COMMON, (broken, "no readable certificate", "-----BEGIN CERTIFICATE-----")]
)
def test_a_bad_chain_or_bundle_is_named(ours: Issued, harm: Harm, found: str, remedy: str) -> None:
    harm(ours.file, ours)
    for load in (load_chain, load_authorities):
        with pytest.raises(CertError) as error:
            load(ours.file)
        assert error.value.path == ours.file
        assert found in error.value.found
        assert remedy in error.value.remedy


@pytest.mark.parametrize(
    ("harm", "found", "remedy"),
    [
        *COMMON,
        (broken, "no readable private key", "-----BEGIN PRIVATE KEY-----"),
        (readable, "every user can read", "chmod 600"),
        (with_password, "an encrypted key", "openssl pkey -in"),
        (anothers, "doesn't belong to", "name the key of that certificate"),
    ],
)
def test_a_bad_key_is_named_and_nothing_of_it_is_shown(ours: Issued, harm: Harm, found: str, remedy: str) -> None:
    chain = load_chain(ours.file)
    lines = [line for line in ours.key.read_text().splitlines() if not line.startswith("-----")]
    harm(ours.key, ours)
    with pytest.raises(CertError) as error:
        check_key(ours.key, chain)
    assert error.value.path == ours.key
    assert found in error.value.found
    assert remedy in error.value.remedy
    assert not any(line[:16] in f"{error.value!r} {error.value}" for line in lines)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_a_chain_out_of_order_is_named_with_its_place(tmp_path: Path) -> None:
    one, other = Authority(tmp_path, "one"), Authority(tmp_path, "other")
    issued = one.issue("gateway.example")
    issued.file.write_bytes(issued.file.read_bytes() + other.file.read_bytes())
    with pytest.raises(CertError, match="certificate 1 that is not issued by the next one"):
        load_chain(issued.file)


def test_a_key_too_weak_for_openssl_is_refused_in_time(tmp_path: Path) -> None:
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
    name, now = x509.Name([]), datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, weak.public_key(), 1, now - DAY, now + DAY)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("weak.example")]), critical=True)
    file, key = tmp_path / "weak.pem", tmp_path / "weak.key"
    file.write_bytes(made.sign(weak, hashes.SHA256()).public_bytes(Encoding.PEM))
    key.touch(mode=0o600)
    key.write_bytes(weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(CertError, match="RSA of 2048 bits"):
        client_context(identity=load_identity(file, key))


def test_pins_are_those_of_the_key(ours: Issued) -> None:
    peer = read_peer(ours.certificate.public_bytes(Encoding.DER))
    assert show_pin(peer.digest) == ours.pin
    assert parse_pin(ours.pin) == peer.digest
    assert peer.not_after == ours.certificate.not_valid_after_utc.timestamp()


@pytest.mark.parametrize("text", ["", "x", base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(33)).decode()])
def test_what_is_no_pin(text: str) -> None:
    with pytest.raises(ValueError, match="base64 of 32 bytes"):
        parse_pin(text)


@given(st.text(max_size=60))
def test_no_text_as_a_pin_raises_anything_else(text: str) -> None:
    wrong: ValueError | None = None
    try:
        digest = parse_pin(text)
    except ValueError as error:
        wrong, digest = error, bytes(hashlib.sha256().digest_size)
    assert len(digest) == hashlib.sha256().digest_size
    assert wrong is None or "base64" in str(wrong)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(place=st.integers(0, 2000), change=st.integers(1, 255), which=st.sampled_from(["file", "key"]))
def test_no_bytes_of_a_file_raise_anything_else(place: int, change: int, which: str, ours: Issued) -> None:
    path: Path = getattr(ours, which)
    good = path.read_bytes()
    bad = bytearray(good)
    bad[place % len(bad)] ^= change
    blamed = None
    try:
        path.write_bytes(bad)
        client_context(identity=load_identity(ours.file, ours.key))
    except CertError as error:
        blamed = error.path
    finally:
        path.write_bytes(good)
    assert blamed in {None, ours.file, ours.key}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(place=st.integers(0, 2000), change=st.integers(1, 255))
def test_no_certificate_of_a_peer_raises_anything_else(place: int, change: int, ours: Issued) -> None:
    bad = bytearray(ours.certificate.public_bytes(Encoding.DER))
    bad[place % len(bad)] ^= change
    length = 32
    with contextlib.suppress(ValueError):
        length = len(read_peer(bytes(bad)).digest)
    assert length == 32
