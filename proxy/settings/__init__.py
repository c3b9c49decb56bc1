"""Settings of the traffic: `[ingress]`, `[[tunnels]]`, `[[tunnel_lists]]`, `[[tsig_keys]]`, `[[primaries]]`,
`[[forwarders]]`, `[[transparent_doors]]`, `[[socks_doors]]`, `[transfers]`, `[[zones]]`, `[exit]`.

The classes are the schema: `gateway.config` reads the TOML by their fields, bounds and descriptions. Times are in
seconds.
"""

from proxy.settings.base import Name, Seconds, Settings
from proxy.settings.egress import EgressSettings
from proxy.settings.exit import Exit, ExitUser
from proxy.settings.failover import Failover
from proxy.settings.forwarders import Forwarder
from proxy.settings.ingress import Backend, Grant, Health, IngressSettings, Listener, UdpSettings
from proxy.settings.keys import TsigAlgorithm, TsigKey
from proxy.settings.overload import OverloadSettings
from proxy.settings.primaries import Limits, Primary
from proxy.settings.primary_tls import PrimaryTls
from proxy.settings.proxy_protocol import DatagramsIn, Probe, ProxyIn, ProxyOut, StreamsIn
from proxy.settings.socks_doors import SocksDoor, SocksUser
from proxy.settings.tcp import TcpOverload, TcpSettings
from proxy.settings.transfers import Transfers
from proxy.settings.transparent import TransparentDoor
from proxy.settings.tunnel_lists import TunnelList
from proxy.settings.tunnels import Tunnel
from proxy.settings.whoami import Whoami
from proxy.settings.zones import NotifySettings, Zone, ZoneNotify

__all__ = [
    "Backend",
    "DatagramsIn",
    "EgressSettings",
    "Exit",
    "ExitUser",
    "Failover",
    "Forwarder",
    "Grant",
    "Health",
    "IngressSettings",
    "Limits",
    "Listener",
    "Name",
    "NotifySettings",
    "OverloadSettings",
    "Primary",
    "PrimaryTls",
    "Probe",
    "ProxyIn",
    "ProxyOut",
    "Seconds",
    "Settings",
    "SocksDoor",
    "SocksUser",
    "StreamsIn",
    "TcpOverload",
    "TcpSettings",
    "Transfers",
    "TransparentDoor",
    "TsigAlgorithm",
    "TsigKey",
    "Tunnel",
    "TunnelList",
    "UdpSettings",
    "Whoami",
    "Zone",
    "ZoneNotify",
]
