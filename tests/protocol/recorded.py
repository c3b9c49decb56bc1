"""What real clients sent: heads of streams and datagrams, recorded on loopback for this project, with keys made for it.

The methods of 2017 by shadowsocks-libev 3.3.5, those of 2022 by shadowsocks-rust 1.25.0. Each client wanted
192.0.2.7:53; the stream carries "first bytes", the datagram "a datagram". Times are Unix seconds.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass


@dataclass(frozen=True)
class Recorded:
    """One client's bytes."""

    method: str
    key: str
    stream_at: int
    stream: bytes
    datagram_at: int
    datagram: bytes


def _bytes(*lines: str) -> bytes:
    return bytes.fromhex("".join(lines))


def _chain(size: int) -> str:
    """Two identity keys and the user's key (SIP023), as a client writes them."""
    return ":".join(base64.b64encode(bytes(range(at, at + size))).decode() for at in range(0, 3 * size, size))


RECORDED = (
    Recorded(
        "aes-128-gcm",
        "zonegate",
        1795169309,
        _bytes(
            "38bf06657f02fd12eb53dc6c4e784cac0684b2ff6abf0fab2eaca4d64d429c28cbde991bb43104955067472d58fa8873",
            "b7dd43ff9024aa173f2eb747c769b87982684200ce27c21b3cc47a33ab3daa3f7912963b2281b304f1720c180375b8a9",
            "ad3564d183fb",
        ),
        1795169310,
        _bytes(
            "dbdcab9c0c0e18f2b8840f93f77239b8791a57affff35af329b3f0040c9b6654c95941473c0f2d2adae997554cee5afe",
            "5d",
        ),
    ),
    Recorded(
        "aes-256-gcm",
        "zonegate",
        1795169310,
        _bytes(
            "5b39a7581e62fa0d90a0f6153fb159f06bdae721363c99ee329480b9b9c93fb1823387c354a8fdfc1657a63ec5ad37d9",
            "8a33db655f8cbcd317919e54a43b164fdeeaa07c5a2143e5943bf4075b5452896b914f6f9ad0e4ec9fb8198084dd0cc1",
            "ca4f4e4344d77a1a383e37ce46dc69f85701d85c2cf7",
        ),
        1795169312,
        _bytes(
            "499e303288dc6a7dc8008f016fa4f85170c48651e2953c0c585a94ad28a2dbe275756a19967da4ac717c9adcb6bf82ce",
            "f1d21d7c998197e7a8c098d97e863bd4bc",
        ),
    ),
    Recorded(
        "chacha20-ietf-poly1305",
        "zonegate",
        1795169312,
        _bytes(
            "a5f4573f27e9261323a7a42b32d260e6725f5d059b9c9e7f567b29f7eb6362d400e3eb072784da4cd66a97868729611a",
            "8cce4cd9d28cdba96ae192d568b6d13fc43807b4899a2a3f142d142521618d755e7a5d10b28b2b1269959537b404ed20",
            "ef5994c277385964c4808bdf32cb4d9f9b9b65e1b897",
        ),
        1795169313,
        _bytes(
            "ab7ee76d3c2139330fa1107a29955c880b3c6471153851e610b8568de188eca66a5ce40dc259ae556388eb6e1d059e0f",
            "035a3cd32206b1a45291ad719cdda8dfd9",
        ),
    ),
    Recorded(
        "2022-blake3-aes-128-gcm",
        "AAECAwQFBgcICQoLDA0ODw==",
        1795169313,
        _bytes(
            "4381feab68ebf171fe0cdb153bd610a9b4e86310e2b9995a3f0d7e5b75b1708218ca7a80b8b64e2a7f42319df17af373",
            "0bcaee7c95be2cd6624927bfada2bcb1d09b4fa4044c8c7456a9113ef7e83c",
        ),
        1795169315,
        _bytes(
            "bcaa5d476de2227c939a5d41f562e3e820885547f3e7cc21e0ca48f8ebfda5d74088792d99186cbe9ce4d76b7b609a4b",
            "d7214e526d3ce44cc58f65b7",
        ),
    ),
    Recorded(
        "2022-blake3-aes-256-gcm",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        1795169315,
        _bytes(
            "bfc00c8cf60bc43800aa30d05950508620ac14319b76a93b8221b5b627c649eeb485dcae655c993f8c4940da27cb44e9",
            "29d9e1715b26fafbc6a8bc3220c70b50bfa618f07d1b28806a2a1accc32841ed4106f463512c109546fc9f00bd16bd",
        ),
        1795169316,
        _bytes(
            "6aadcb5f0e82073a90a8f59c9b49dae45490f0c52a967a4e2aaf5d2ff8360a5b11c5e99dd02b81830c13a84dcfcda1a2",
            "6c56de12903db9f4721941f5",
        ),
    ),
    Recorded(
        "2022-blake3-chacha20-poly1305",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        1795169317,
        _bytes(
            "1b40e7c08df9638b4e797cf6528d2d06d0fe055777222cb57daa74311a984e1e5ead188d4c03834b86eb89828988f8b2",
            "4d050288762a424975b1e4dcadc2d4e020d04bf40a2ccc5d3ef701f4b6667d6dc6473a686c06d060d80c6af4a71c42",
        ),
        1795169318,
        _bytes(
            "afad6208975a48ef13a208003ae2ae833099d11caebebfb2ce956caf6622bbaf3b5de86694422a8bed41feb0e46a8ffd",
            "3007acf23764f5ab40cf361173a34fdb3cb99778759e13ff7ebe2bc63edbfefddfbe7b80",
        ),
    ),
)

RECORDED_CHAINS = (
    Recorded(
        "2022-blake3-aes-128-gcm",
        _chain(16),
        1795191437,
        _bytes(
            "3cf770e46178c8ea35cc3d6c2b19322382e9b6cc05c2309637914bf952218d08507223157e45084616a6f675c4ba370d",
            "606c3651e42dd03d7898e40bf3aa6ad0aab9301664ee96d1e25e72f3d25f6619f08805b170d870b04fa4ef65787813a5",
            "55c1f12c14eea85c24bd34103c7b3c",
        ),
        1795191437,
        _bytes(
            "3bf2b01d622a117cb41ad3a7debbaaea132250b32626e9274f1b7c02b10825cf20c70e3ee093c46255a5f2e8197a2c61",
            "4c650d6075f736dd0bf43ee4f3d419c1861a83a272207398aac85979a04a576bdaebd975c557735de9149aee",
        ),
    ),
    Recorded(
        "2022-blake3-aes-256-gcm",
        _chain(32),
        1795191437,
        _bytes(
            "99d0c8d09f146e813f53835384bb6c4ccfc855f6bd70792efb6a70de451f6071b29ac9181e61a586551b55a461d6d1ea",
            "556fdddc3c74fa53acef3022d85d601387650a576f3a68de51a4fcd8578fe770a7edbe0ff99a3f2ff532faf583b58444",
            "e95160a75f7aa7e15b728be0bd4f8496db8c816db69770be91f1e6b01f7686",
        ),
        1795191437,
        _bytes(
            "c571cac3005433a284ebc0b6dafd3a36a15f3ce5dba16de6989c80d74b2093de525b760758ba89f7bd848e9c4243057b",
            "08de9bb2f20a531512c255c0eac384204253541188d2ea22f4b00fc2d72ed41b349a0e2eb84e7c9574414913",
        ),
    ),
)
