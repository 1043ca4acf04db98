"""The failures that callers of the tools and of the proxy receive.

A Failure has one of the codes below and a message that contains no secret. Every other exception is a defect of Fiedler:
its caller learns the type only, and the log has the rest.
"""
import difflib

INVALID_INPUT = "INVALID_INPUT"
ACCESS_DENIED = "ACCESS_DENIED"
FILE_NOT_FOUND = "FILE_NOT_FOUND"
PROVIDER_ERROR = "PROVIDER_ERROR"
INTERNAL_ERROR = "INTERNAL_ERROR"

SHOWN_CHARACTERS = 300


class Failure(Exception):
    def __init__(self, code, message, **details):
        super().__init__(message)
        self.code, self.details = code, details

    def as_object(self):
        return {"code": self.code, "message": str(self), **self.details}


def shown(text, characters=SHOWN_CHARACTERS):
    """Text of a peer, for a message: one line of printable characters, cut."""
    line = "".join(c if c.isprintable() else " " for c in str(text)[: characters + 1]).strip()
    return line if len(line) <= characters else line[:characters] + "…"


def unknown(what, name, known):
    """The Failure for a name that is not among the known ones. It does not repeat the name, which may be a key that was
    given as the wrong argument."""
    near = difflib.get_close_matches(str(name)[:200], known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known: {shown(', '.join(sorted(known))) or 'none'}"
    return Failure(INVALID_INPUT, f"unknown {what} ({hint})")
