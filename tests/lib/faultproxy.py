"""A TCP proxy in front of one server, with faults that can be switched while connections live.

    proxy = FaultProxy(port_behind); proxy.port; proxy.mode = "hole"; ...; proxy.stop()

pass     bytes go both ways
delay    ... after proxy.delay_s (for each piece that is read)
hole     nothing goes either way, and nothing is closed: a silent network. What is held back is sent when the mode changes
noreply  requests go on, answers are held back: the server does what nobody hears of
reset    connections are reset, new ones too
refuse   nobody listens
"""
import socket
import struct
import threading
import time


class FaultProxy:
    def __init__(self, behind, host="127.0.0.1", delay_s=0.02, behind_host=None, port=0):
        self.behind, self.host, self.delay_s, self.behind_host = behind, host, delay_s, behind_host or host
        self._mode = "pass"
        self._changed = threading.Condition()
        self._sockets = set()
        self._ended = False
        self._listener = self._listen(port)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _listen(self, port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, port))
        listener.listen(64)
        listener.settimeout(0.05)
        return listener

    @property
    def mode(self):
        return self._mode

    @mode.setter
    def mode(self, mode):
        assert mode in ("pass", "delay", "hole", "noreply", "reset", "refuse"), mode
        with self._changed:
            self._mode = mode
            if mode in ("reset", "refuse"):
                self._reset_all()
            self._changed.notify_all()

    def connections(self):
        with self._changed:
            return len(self._sockets) // 2

    def _reset_all(self):
        for s in list(self._sockets):
            self._reset(s)
        self._sockets.clear()

    @staticmethod
    def _reset(s):
        try:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.shutdown(socket.SHUT_RD)
        except OSError:
            pass
        s.close()

    def _accept(self):
        while not self._ended:
            if self._mode == "refuse":
                if self._listener is not None:
                    self._listener.close()
                    self._listener = None
                time.sleep(0.02)
                continue
            if self._listener is None:
                self._listener = self._listen(self.port)
            try:
                client = self._listener.accept()[0]
            except OSError:
                continue
            if self._mode in ("reset", "refuse"):
                self._reset(client)
                continue
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client):
        try:
            server = socket.create_connection((self.behind_host, self.behind), 5)
        except OSError:
            self._reset(client)
            return
        server.settimeout(None)
        client.settimeout(None)
        with self._changed:
            self._sockets |= {client, server}
            if self._mode in ("reset", "refuse") or self._ended:
                self._reset_all()
                return
        self._begin(client, server)

    def _begin(self, client, server):
        """Starts what carries a connection."""
        threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
        threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _held(self, answers):
        return self._mode == "hole" or (answers and self._mode == "noreply")

    def _gate(self, answers):
        """Waits for as long as nothing is to pass this way."""
        with self._changed:
            while self._held(answers) and not self._ended:
                self._changed.wait()

    def _pass_on(self, sink, data, answers):
        self._gate(answers)
        if self._mode == "delay":
            time.sleep(self.delay_s)
        sink.sendall(data)

    def _over(self, *sockets):
        """One side has closed: the other learns of it, once that may pass."""
        with self._changed:
            for s in sockets:
                self._sockets.discard(s)
                self._reset(s)

    def _pump(self, source, sink, answers):
        try:
            while piece := source.recv(65536):
                self._pass_on(sink, piece, answers)
        except OSError:
            pass
        self._gate(answers)
        self._over(source, sink)

    def stop(self):
        with self._changed:
            self._ended = True
            self._reset_all()
            self._changed.notify_all()
        if self._listener is not None:
            self._listener.close()
