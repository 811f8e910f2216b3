"""A UDP server on a thread, whose answers follow `faults`, a dict that may be changed while it runs."""
import socket
import threading


class FakeUdp:
    def __init__(self, address="127.0.0.1", **faults):
        self.faults = dict(faults)
        self.requests = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.settimeout(0.1)
        self.address, self.port = self.socket.getsockname()
        self.running = True
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def close(self):
        self.running = False
        self.thread.join()
        self.socket.close()

    def serve(self):
        while self.running:
            try:
                request, peer = self.socket.recvfrom(1024)
            except socket.timeout:
                continue
            self.requests.append(request)
            self.take(request, peer)

    def take(self, request, peer):
        raise NotImplementedError
