"""Ports for servers under test: free now, and outside the range that the kernel takes for outgoing connections, so that nothing else
takes them between the look and the server's own bind. Python standard library only."""
import random
import socket

LOWEST, HIGHEST = 10240, 32000
_random = random.SystemRandom()


def free_ports(count, host="127.0.0.1"):
    """That many different ports. All are held until all are found."""
    held = []
    try:
        while len(held) < count:
            s = socket.socket()
            try:
                s.bind((host, _random.randrange(LOWEST, HIGHEST)))
            except OSError:
                s.close()
                continue
            held.append(s)
        return [s.getsockname()[1] for s in held]
    finally:
        for s in held:
            s.close()
