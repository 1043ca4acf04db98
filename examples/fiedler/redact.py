"""Removes secrets by their values: from text, from streams of bytes, and from log records.

Happy path: code that loads a key calls Secrets.add(); then text(), stream() and the logging filter replace it by
[REDACTED]. Failure: none; the oldest of more than KEPT secrets is forgotten, so that callers who store keys all the time
do not fill the memory. A key that is in use is added again with each use.
"""
import logging
from collections import OrderedDict

REDACTED = "[REDACTED]"
KEPT = 64


class Secrets:
    def __init__(self, *fixed):
        """fixed: secrets that are never forgotten."""
        self.fixed, self.values = fixed, OrderedDict()

    def add(self, secret):
        self.values[secret] = None
        self.values.move_to_end(secret)
        if len(self.values) > KEPT:
            self.values.popitem(last=False)
        return secret

    def longest_first(self):
        return sorted((*self.fixed, *self.values), key=len, reverse=True)  # one may be the beginning of another

    def text(self, text):
        for secret in self.longest_first():
            text = text.replace(secret, REDACTED)
        return text

    def stream(self):
        return SecretStream([secret.encode() for secret in self.longest_first()])


class SecretStream:
    """Replaces secrets in bytes that arrive in pieces. It keeps back an end that may be the beginning of a secret."""

    def __init__(self, secrets):
        self.secrets, self.kept = secrets, b""

    def feed(self, piece):
        data = self.kept + piece
        for secret in self.secrets:
            data = data.replace(secret, REDACTED.encode())
        keep = max((begun(data, secret) for secret in self.secrets), default=0)
        self.kept = data[len(data) - keep :]
        return data[: len(data) - keep]

    def end(self):
        """The rest, which was not the beginning of a secret after all."""
        rest, self.kept = self.kept, b""
        return rest


def begun(data, secret):
    """How many bytes at the end of data are the beginning of secret."""
    at = max(0, len(data) - len(secret) + 1)
    while at < len(data) and not secret.startswith(data[at:]):
        at = data.find(secret[:1], at + 1)
        if at < 0:
            return 0
    return len(data) - at


class SecretFilter(logging.Filter):
    """For the log handlers: the message of each record, its traceback and its data without the known secrets."""

    def __init__(self, secrets):
        super().__init__()
        self.secrets = secrets

    def filter(self, record):
        record.msg, record.args = self.secrets.text(record.getMessage()), None
        if record.exc_info:
            record.exc_text = self.secrets.text(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        if isinstance(getattr(record, "data", None), dict):
            record.data = self.value(record.data)
        return True

    def value(self, value):
        if isinstance(value, str):
            return self.secrets.text(value)
        if isinstance(value, dict):
            return {name: self.value(member) for name, member in value.items()}
        return [self.value(entry) for entry in value] if isinstance(value, list) else value


SECRET_NAMES = ("password", "token", "apikey", "authorization", "secret")  # those of the library


def without_named_secrets(value):
    """A copy of a JSON value in which members with the name of a secret are replaced."""
    if isinstance(value, dict):
        return {name: REDACTED if is_secret_name(name) else without_named_secrets(member) for name, member in value.items()}
    return [without_named_secrets(entry) for entry in value] if isinstance(value, list) else value


def is_secret_name(name):
    return "".join(c for c in name.lower() if c.isalnum()).endswith(SECRET_NAMES)
