"""A chronyd that answers its monitoring protocol, and misbehaves as `faults` says (a dict that may be changed while it runs):

correction (s, positive: the local clock is slow), stratum, leap, refid, reference_age (s), dispersion (s), delay (s), sources (offsets in s),
version, kind, command, reply, sequence (true: another one), status, short (bytes), long (bytes too many), dup (the last answer again),
forge_first (forged answers before the true one), drop (a set of commands that get no answer).
"""
import math
import struct
import time

from fake_udp import FakeUdp

N_SOURCES, SOURCE_DATA, TRACKING = 14, 15, 33
SIZES = {N_SOURCES: (32, 2), SOURCE_DATA: (76, 3), TRACKING: (104, 5)}


def wire_float(value):
    fraction, exponent = math.frexp(value)
    return (((exponent + 1) & 0x7F) << 25 | (round(fraction * 2**24) & 0x1FFFFFF)) if value else 0


class FakeChrony(FakeUdp):
    def __init__(self, **faults):
        self.last = {}
        super().__init__(**faults)

    @property
    def source(self):
        return "chrony:127.0.0.1:%d" % self.port

    def body(self, command, index):
        f = self.faults
        if command == N_SOURCES:
            return struct.pack("!I", len(f.get("sources", [0])))
        if command == SOURCE_DATA:
            offset = f.get("sources", [0])[index]
            return struct.pack("!4s12xHxxhHHHHHIIII", bytes([10, 0, 0, 1 + index]), 1, 6, 2, 0 if index == 0 else 2, 0, 0, 255, 3,
                               wire_float(-offset), wire_float(-offset), wire_float(0.001))
        reference = time.time() - f.get("reference_age", 1)
        return struct.pack("!I4s12xHxxHH12I", f.get("refid", 0x0A000001), bytes([10, 0, 0, 1]), 1, f.get("stratum", 3), f.get("leap", 0),
                           int(reference) >> 32, int(reference) & 0xFFFFFFFF, int(reference % 1 * 1e9), wire_float(f.get("correction", 0)),
                           0, 0, 0, 0, 0, wire_float(f.get("delay", 0.001)), wire_float(f.get("dispersion", 0.001)), wire_float(2.0))

    def answer(self, request):
        f = self.faults
        command, sequence, index = struct.unpack_from("!H2xI", request, 4) + struct.unpack_from("!I", request, 20)
        size, reply = SIZES[command]
        assert len(request) == size, "a request is as long as its answer"
        packet = struct.pack("!BBxxHHHxxxxxxI8x", f.get("version", 6), f.get("kind", 2), f.get("command", command), f.get("reply", reply),
                             f.get("status", 0), sequence ^ (1 if f.get("sequence") else 0)) + self.body(command, index)
        assert len(packet) == size
        if f.get("dup") and command in self.last:
            packet = self.last[command]
        self.last[command] = packet
        return packet[:f.get("short", size)] + bytes(f.get("long", 0))

    def take(self, request, peer):
        if struct.unpack_from("!H", request, 4)[0] in self.faults.get("drop", ()):
            return
        answer = self.answer(request)
        if self.faults.get("forge_first"):
            forged = bytearray(answer)
            forged[68:72] = struct.pack("!I", wire_float(3600.0))
            forged[16] ^= 0x80
            self.socket.sendto(forged, peer)
            self.socket.sendto(b"\x06\x02", peer)
        self.socket.sendto(answer, peer)
