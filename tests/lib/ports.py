"""Ports for servers under test: free now, outside the range that the kernel takes for outgoing connections, and given to nobody else
while this process lives, so that nothing takes them between the look and the server's own bind. Python standard library only."""
import random
import socket

LOWEST, HIGHEST = 10240, 32000
_random = random.SystemRandom()


def _mark(port):
    """Takes the right to use this port, against every other process that asks here. An abstract name lives in the network namespace, as
    the port does, and leaves no file behind."""
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        mark.bind(f"\0snowfleet-test-port-{port}")
    except OSError:
        mark.close()
        return None
    return mark


def _is_free(host, port):
    with socket.socket() as s:
        try:
            s.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(count, host="127.0.0.1"):
    """That many different ports."""
    found = []
    while len(found) < count:
        port = _random.randrange(LOWEST, HIGHEST)
        mark = _mark(port)
        if mark is None:
            continue
        if not _is_free(host, port):
            mark.close()
            continue
        mark.detach()  # the descriptor stays open as long as the process: nobody is to close it earlier, the garbage collector included
        found.append(port)
    return found
