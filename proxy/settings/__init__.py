"""Settings of the traffic: `[ingress]`, `[[tunnels]]`, `[[primaries]]`, `[[forwarders]]`, `[exit]`.

The classes are the schema: `gateway.config` reads the TOML by their fields, bounds and descriptions. Times are in
seconds.
"""

from proxy.settings.base import Name, Seconds, Settings
from proxy.settings.egress import EgressSettings, Exit, Forwarder, Primary, Tunnel
from proxy.settings.ingress import Backend, Grant, Health, IngressSettings, Listener, UdpSettings
from proxy.settings.overload import OverloadSettings
from proxy.settings.proxy_protocol import DatagramsIn, Probe, ProxyIn, ProxyOut, StreamsIn
from proxy.settings.tcp import TcpOverload, TcpSettings

__all__ = [
    "Backend",
    "DatagramsIn",
    "EgressSettings",
    "Exit",
    "Forwarder",
    "Grant",
    "Health",
    "IngressSettings",
    "Listener",
    "Name",
    "OverloadSettings",
    "Primary",
    "Probe",
    "ProxyIn",
    "ProxyOut",
    "Seconds",
    "Settings",
    "StreamsIn",
    "TcpOverload",
    "TcpSettings",
    "Tunnel",
    "UdpSettings",
]
