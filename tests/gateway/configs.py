"""Configurations for tests."""

from __future__ import annotations

import base64

KEY_32 = base64.b64encode(bytes(range(32))).decode()
USER_KEY = base64.b64encode(bytes(range(32, 64))).decode()
HOP_KEY = base64.b64encode(bytes(range(64, 96))).decode()
COOKIE_KEY = "e5e973e5a6b2a43f48e7dc849e37bfcf"
OLD_COOKIE_KEY = "445536bcd2513298075a5d379663c962"

INGRESS = """\
version = 1
[ingress]
workers = 1
[[ingress.listeners]]
address = "127.0.0.1:5300"
[[ingress.backends]]
name = "ns-a"
address = "127.0.0.1:5353"
"""

FULL = f"""\
version = 1

[ingress]
workers = 2
[[ingress.listeners]]
address = "192.0.2.1:53"
transports = ["udp", "tcp"]
allow = ["notify"]
[[ingress.listeners]]
address = "[2001:db8::1]:53"
[[ingress.backends]]
name = "ns-a"
address = "10.0.0.11:53"
weight = 2
[[ingress.backends]]
name = "ns-b"
address = "10.0.0.12:53"
timeout = 1.5
[ingress.tcp]
idle_timeout = 20
[ingress.udp]
receive_buffer = 65536
[ingress.health]
zone = "example.com"

[filters]
zones = ["example.com", "example.net."]
table_size = 4096
[[filters.rate_limits]]
key = "client-prefix"
rate = 200
[filters.checks]
chaos = "pass"
[filters.cookies]
secret = "{COOKIE_KEY}"
accepted_secrets = ["{OLD_COOKIE_KEY}"]
[filters.error_budget]
rate = 10

[[tunnels]]
name = "fra"
url = "ss://2022-blake3-aes-256-gcm:{KEY_32}@198.51.100.9:8388"
exit_addresses = ["198.51.100.9"]
[[tunnels]]
name = "ams"
url = "socks5://planted-user:planted-password@198.51.100.10:1080"

[[primaries]]
name = "customer-a"
address = "203.0.113.5:53"
tunnels = ["fra", "ams"]

[[forwarders]]
listen = "127.0.0.1:5301"
primary = "customer-a"
allow = ["10.0.0.0/24"]
zones = ["example.com"]

[exit]
listen = "0.0.0.0:8388"
key = "{KEY_32}"
allow = ["203.0.113.0/24:53", "[2001:db8::/32]:853"]
[[exit.users]]
name = "berlin"
key = "{USER_KEY}"
allow = ["203.0.113.5/32:53"]
bytes_per_second = 1_000_000
[[exit.users]]
name = "fra"
key = "{HOP_KEY}"
relay = "198.51.100.7:8388"

[admin]
address = "127.0.0.1:8053"
token = "planted-token"

[log]
format = "json"
level = "warning"
"""

PLANTED = (KEY_32, USER_KEY, HOP_KEY, COOKIE_KEY, OLD_COOKIE_KEY, "planted-user", "planted-password", "planted-token")
"""Secrets of FULL: none of them may ever be shown."""
