"""Links with a delay and a rate between network namespaces of this machine, for ranks that are to be apart.

Each namespace has a TUN device, and this process carries the packets between them, like a switch: a packet leaves its
namespace at the rate, when those before it have left, and arrives after the delay. So no queueing discipline of the
kernel's is needed (not every kernel has netem). Packets are up to 64 KiB long, as network cards take them from the
system nowadays. This process has real-time priority: it takes a core from the ranks for some microseconds a packet.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from select import select
from time import perf_counter

__all__ = ["links", "name_of"]

_MTU = 65_535
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 1, 0x1000
_BUFFERS = "4096 4194304 8388608"  # bytes of a connection: by default 64 KiB may be under way, too few for a long delay
_DESTINATION = 19  # the last byte of it, in the header of a packet


def name_of(place: int) -> str:
    """The name of a namespace, and of the device in it."""
    return f"fastmlp{place}"


@contextmanager
def links(places: int, delay: float, rate: float) -> Iterator[None]:
    """So many namespaces for the time of the block: delay one way in seconds, rate in bytes a second."""
    process = None
    try:
        for place in range(places):
            subprocess.run(
                ["ip", "netns", "del", name_of(place)], stderr=subprocess.DEVNULL
            )  # of a run that was killed
            _run("ip", "netns", "add", name_of(place))
        command = [sys.executable, __file__, str(places), str(delay), str(rate)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()  # the devices are there
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()
        for place in range(places):
            _run("ip", "netns", "del", name_of(place))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _device(place: int) -> int:
    """The TUN device of a namespace, as a file descriptor."""
    device, name = os.open("/dev/net/tun", os.O_RDWR), name_of(place)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    _run("ip", "link", "set", name, "netns", name)
    inside = "ip", "-n", name
    _run(*inside, "addr", "add", f"10.77.0.{place + 1}/24", "dev", name)
    _run(*inside, "link", "set", name, "mtu", str(_MTU), "txqueuelen", "10000", "up")
    _run(*inside, "link", "set", "lo", "up")
    buffers = [f"net.ipv4.tcp_{way}mem={_BUFFERS}" for way in "rw"]
    _run("ip", "netns", "exec", name, "sysctl", "-qw", *buffers)
    return device


def carry(places: int, delay: float, rate: float) -> None:
    """Carry packets, for ever."""
    devices = [_device(place) for place in range(places)]
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    print("ready", flush=True)
    under_way: list[tuple[float, int, bytes]] = []  # a heap: arrival, place, packet
    free = dict.fromkeys(devices, 0.0)  # when the last packet from a device has left
    while True:
        wait = max(0.0, under_way[0][0] - perf_counter()) if under_way else None
        for device in select(devices, (), (), wait)[0]:
            packet = os.read(device, _MTU)
            free[device] = max(free[device], perf_counter()) + len(packet) / rate
            if packet[0] >> 4 == 4:  # IPv4: the system itself speaks IPv6
                heappush(under_way, (free[device] + delay, packet[_DESTINATION] - 1, packet))
        while under_way and under_way[0][0] <= perf_counter():
            _, place, packet = heappop(under_way)
            os.write(devices[place], packet)


if __name__ == "__main__":
    carry(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
