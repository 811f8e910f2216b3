#!/usr/bin/env python3
"""A faulty NTP server, for tests. Its answers follow `faults`, a dict that may be changed while it runs:

offset (s), li, stratum, refid, rootdelay (s), rootdisp (s), kod ("DENY"...), bad_origin, zero_tx, mode, version,
short (bytes), dup (replay the last answer), drop, forge_first (a forged answer before the true one), delay (s on the way back),
ref_after (reference time after the transmit time).
"""
import struct
import time

from fake_udp import FakeUdp

ERA = 2208988800


def stamp(unix_s):
    return int((unix_s + ERA) * 2**32) & (2**64 - 1)


class FakeNtp(FakeUdp):
    last = None

    @property
    def source(self):
        return "ntp:%s:%d" % (self.address, self.port)

    def answer(self, request, received):
        f = self.faults
        offset = f.get("offset", 0.0)
        origin = bytes(8) if f.get("bad_origin") else request[40:48]
        refid, stratum, li = f.get("refid", 0x0A000001), f.get("stratum", 2), f.get("li", 0)
        if "kod" in f:
            refid, stratum, li = struct.unpack("!I", f["kod"].encode())[0], 0, 3
        sent = time.time()
        reference = stamp(sent + offset + (5 if f.get("ref_after") else -16))
        transmit = 0 if f.get("zero_tx") else stamp(sent + offset)
        packet = struct.pack(
            "!BBbbIII8s8s8s8s",
            li << 6 | f.get("version", 4) << 3 | f.get("mode", 4), stratum, 4, -20,
            int(f.get("rootdelay", 0.0002) * 65536), int(f.get("rootdisp", 0.0001) * 65536), refid,
            struct.pack("!Q", reference), origin, struct.pack("!Q", stamp(received + offset)),
            struct.pack("!Q", transmit))
        if f.get("dup") and self.last:
            packet = self.last[:24] + origin + self.last[32:]
        self.last = packet
        return packet[:f.get("short", len(packet))]

    def take(self, request, peer):
        received = time.time()
        if self.faults.get("drop"):
            return
        if self.faults.get("forge_first"):
            self.socket.sendto(bytes([0x24, 1]) + bytes(46), peer)
            self.socket.sendto(b"\x24", peer)
        answer = self.answer(request, received)
        time.sleep(self.faults.get("delay", 0))
        self.socket.sendto(answer, peer)
