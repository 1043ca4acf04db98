"""Server-sent events (WHATWG HTML section 9.2), read in pieces.

Happy path: feed() takes bytes and returns the data of the events that they complete. Failure: TooLarge for an event above
the limit.
"""


class TooLarge(Exception):
    pass


class EventReader:
    def __init__(self, max_event_bytes):
        self.max_event_bytes = max_event_bytes
        self.line, self.data = bytearray(), bytearray()
        self.has_data, self.after_cr = False, False

    def feed(self, piece):
        """Yields the data of each complete event, as bytes."""
        if self.after_cr and piece.startswith(b"\n"):  # CR LF in two pieces
            piece = piece[1:]
        self.after_cr = piece.endswith(b"\r") if piece else self.after_cr
        lines = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for rest in lines[:-1]:
            self.add(rest)
            event = self.end_line()
            if event is not None:
                yield event
        self.add(lines[-1])

    def add(self, piece):
        if len(self.line) + len(self.data) + len(piece) > self.max_event_bytes:
            raise TooLarge
        self.line += piece

    def end_line(self):
        line, self.line = self.line, bytearray()
        if not line:
            return self.end_event()
        name, _, value = line.partition(b":")
        if name == b"data":
            if self.has_data:
                self.data += b"\n"
            self.data += value[1:] if value.startswith(b" ") else value
            self.has_data = True
        return None

    def end_event(self):
        if not self.has_data:
            return None
        event, self.data, self.has_data = bytes(self.data), bytearray(), False
        return event
