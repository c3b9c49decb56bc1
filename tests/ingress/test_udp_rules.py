"""Rules on a UDP door: which listener a rule means, and the reason that goes with a reply."""

from __future__ import annotations

import dns.message
import dns.rcode

from filters.codes import DomainName
from filters.policy import compile_policy
from filters.settings import ExtendedError, FilterSettings, Rule, When
from proxy.ingress.surroundings import surroundings
from proxy.settings import Backend, IngressSettings, Listener
from proxy.values import Endpoint
from tests.ingress.test_udp import Door
from tests.support.backends import UdpClient
from tests.support.peers import auntil, free_port

HERE = DomainName("example.com")


async def test_a_rule_for_one_listener_behind_one_of_tcp_alone() -> None:
    ports = [free_port(), free_port()]
    doors = (
        Listener(address=Endpoint.parse(f"127.0.0.1:{ports[0]}"), transports=("tcp",)),
        Listener(address=Endpoint.parse(f"127.0.0.1:{ports[1]}"), transports=("udp",)),
    )
    settings = IngressSettings(
        listeners=doors, backends=(Backend(name="ns-a", address=Endpoint.parse(f"127.0.0.1:{free_port()}")),)
    )
    rule = Rule(
        name="second-door",
        when=When(listener=str(doors[1].address), qname_suffix=HERE),
        action="refuse",
        ede=ExtendedError(code=18, text="not at this door"),
    )
    opened = Door(settings, FilterSettings())
    client = await UdpClient().open()
    try:
        filters = FilterSettings(rules=(rule,))
        policy = compile_policy(filters, surroundings(settings))
        opened.ingress.reload(settings, opened.slots, policy)
        query = dns.message.make_query("www.example.com", "A", use_edns=0)
        client.send(query.to_wire(), doors[1].address.sockaddr)
        await auntil(lambda: bool(client.received))
        reply = dns.message.from_wire(client.received[0][0])
        assert query.is_response(reply)
        assert reply.rcode() == dns.rcode.REFUSED
        assert [option.to_text() for option in reply.options] == ["EDE 18 (Prohibited): not at this door"]
        assert opened.memory.rule_hits() == [(0, 1, 0)]
    finally:
        await client.close()
        opened.close()
