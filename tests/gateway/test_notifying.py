"""What a worker has accepted is kept until it has ended: for a transfer process that is down or starts anew."""

from __future__ import annotations

from gateway import ipc
from gateway.supervisor.child import Child, Role
from gateway.supervisor.notifying import Notifying
from proxy.protocol.notify import Notice


class Recorder(Child):
    """A process that was never started, and what it would have been sent."""

    def __init__(self) -> None:
        start = ipc.Start(index=0, plan=ipc.TransferPlan(settings={}), sockets=(), memory=None)
        role = Role(name="transfer", kind="transfer", index=0, start=lambda: start)
        super().__init__(role, lambda _name, _fields, _count: None)
        self.sent: list[tuple[str, int | None, int]] = []
        self.serves = False

    @property
    def is_serving(self) -> bool:
        return self.serves

    def send(self, message: ipc.Blocks | ipc.Notify) -> bool:
        assert isinstance(message, ipc.Notify)
        self.sent.append((message.notice.zone, message.notice.serial, message.number))
        return True

    def took(self) -> list[tuple[str, int | None, int]]:
        taken, self.sent = self.sent, []
        return taken


def notify(zone: str, serial: int) -> ipc.Notify:
    ends = ("192.0.2.1", 53)
    notice = Notice(zone=zone, serial=serial, client=ends, asked=ends, transport="udp", key=None, message=b"", at=0.0)
    return ipc.Notify(notice=notice)


async def test_what_comes_while_it_is_down_it_gets_when_it_is_ready() -> None:
    child = Recorder()
    notifying = Notifying([child])
    notifying.heard(child, notify("a.", 1))
    notifying.heard(child, notify("b.", 1))
    notifying.heard(child, notify("a.", 2))
    assert child.took() == []
    notifying.heard(child, ipc.Ready())
    assert sorted(child.took()) == [("a.", 2, 3), ("b.", 1, 2)], "the last one of each zone"


async def test_what_has_not_ended_its_next_life_gets_again() -> None:
    child = Recorder()
    child.serves = True
    notifying = Notifying([child])
    for message in (notify("a.", 1), notify("b.", 1), notify("a.", 2)):
        notifying.heard(child, message)
    assert child.took() == [("a.", 1, 1), ("b.", 1, 2), ("a.", 2, 3)]
    notifying.heard(child, ipc.NotifyEnded(number=1))
    notifying.heard(child, ipc.NotifyEnded(number=2))
    notifying.heard(child, ipc.Ready())
    assert child.took() == [("a.", 2, 3)], "an earlier one of the zone has ended, the last one has not"
    notifying.heard(child, ipc.NotifyEnded(number=3))
    notifying.heard(child, ipc.Ready())
    assert child.took() == []
