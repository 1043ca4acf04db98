"""The model file: providers with their addresses, and models with aliases and limits.

Happy path: load() reads a TOML file, checks every value, and returns Models, in which names and aliases are found. The
addresses of providers come from this file alone. Failure: BadModelFile, one line that names the entry, its value and
what is allowed.
"""
import json
import re
import tomllib
from dataclasses import dataclass
from urllib.parse import urlsplit

from .failure import shown, unknown

MAX_FILE_BYTES, MAX_ENTRIES, MAX_TOKENS = 1 << 20, 256, 10_000_000
PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")
FIELDS_OF_FIEDLER = {"model", "messages", "stream", "max_tokens", "max_completion_tokens", "n"}


class BadModelFile(Exception):
    pass


@dataclass(frozen=True)
class Provider:
    name: str
    base_url: str
    needs_key: bool


@dataclass(frozen=True)
class Model:
    name: str
    provider: Provider
    upstream_name: str  # what the provider calls it
    aliases: tuple
    max_tokens: int  # of an answer
    max_tokens_field: str
    max_input_bytes: int  # of a request's body
    timeout_s: int  # of a whole request
    stream: bool
    capabilities: tuple
    options: dict  # further members of the request's body


class Models:
    def __init__(self, providers, models):
        self.providers, self.all = providers, models
        self.by_name = {name: model for model in models for name in (model.name, *model.aliases)}

    def find(self, name):
        if name not in self.by_name:
            raise unknown("model", name, [model.name for model in self.all])
        return self.by_name[name]

    def find_all(self, names):
        """The models without repetition, in the order of their names."""
        return list({model.name: model for model in map(self.find, names)}.values())

    def provider(self, name):
        if name not in self.providers:
            raise unknown("provider", name, list(self.providers))
        return self.providers[name]


class Table:
    """A table of the file whose members are taken one by one, so that those left over are unknown."""

    def __init__(self, where, value):
        if not isinstance(value, dict):
            raise bad(where, value, "a table")
        self.where, self.members = where, dict(value)

    def take(self, name, default, allowed, check):
        value = self.members.pop(name, default)
        if value is None or not check(value):
            raise bad(f"{self.where}{name}", value, allowed)
        return value

    def text(self, name, default, pattern=MODEL_NAME):
        allowed = f"a text of the form {pattern.pattern}"
        return self.take(name, default, allowed, lambda v: isinstance(v, str) and pattern.fullmatch(v))

    def number(self, name, default, highest):
        allowed = f"a whole number from 1 to {highest}"
        return self.take(name, default, allowed, lambda v: type(v) is int and 1 <= v <= highest)

    def flag(self, name, default):
        return self.take(name, default, "true or false", lambda v: isinstance(v, bool))

    def names(self, name):
        allowed = f"up to 32 texts of the form {MODEL_NAME.pattern}"
        return tuple(self.take(name, [], allowed, lambda v: isinstance(v, list) and len(v) <= 32 and all(
            isinstance(entry, str) and MODEL_NAME.fullmatch(entry) for entry in v)))

    def tables(self, name):
        allowed = f"1 to {MAX_ENTRIES} tables [{name}.NAME]"
        return self.take(name, {}, allowed, lambda v: isinstance(v, dict) and 1 <= len(v) <= MAX_ENTRIES)

    def end(self):
        for name, value in self.members.items():
            raise bad(f"{self.where}{name}", value, "no such entry")


def bad(where, value, allowed):
    if value is None:
        return BadModelFile(f"{where} is missing: expected {allowed}")
    return BadModelFile(f'{where} is "{shown(value, 64)}": expected {allowed}')


def load(path):
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
        if len(text) > MAX_FILE_BYTES:
            raise BadModelFile(f"expected at most {MAX_FILE_BYTES} bytes")
        return parse(tomllib.loads(text.decode()))
    except OSError as error:
        raise BadModelFile(f"expected a file that can be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # of UTF-8 and TOML
        raise BadModelFile(f"expected TOML: {shown(error)}") from None


def parse(value):
    top = Table("", value)
    providers = {name: parse_provider(name, table) for name, table in top.tables("providers").items()}
    models = [parse_model(name, table, providers) for name, table in top.tables("models").items()]
    top.end()
    taken = set()
    for name in (name for model in models for name in (model.name, *model.aliases)):
        if name in taken:
            raise bad("an alias", name, "each name and alias once")
        taken.add(name)
    return Models(providers, models)


def parse_provider(name, value):
    table = Table(f"providers.{name}.", value)
    if not PROVIDER_NAME.fullmatch(name):
        raise bad("the name of a provider", name, f"the form {PROVIDER_NAME.pattern}")
    url = table.take("base_url", None, "http:// or https://, host, port and path", is_base_url)
    provider = Provider(name, url.rstrip("/"), table.flag("needs_key", True))
    table.end()
    return provider


def is_base_url(value):
    try:
        parts = urlsplit(value)
        plain = not (parts.username or parts.password or parts.query or parts.fragment)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and plain
    except (ValueError, AttributeError):
        return False


def is_options(value):
    try:
        json.dumps(value, allow_nan=False)  # TOML has dates, infinity and NaN, too
    except (TypeError, ValueError):
        return False
    return isinstance(value, dict) and not FIELDS_OF_FIEDLER & value.keys()


def parse_model(name, value, providers):
    table = Table(f"models.{name}.", value)
    if not MODEL_NAME.fullmatch(name):
        raise bad("the name of a model", name, f"the form {MODEL_NAME.pattern}")
    known = f"one of {', '.join(providers)}"
    provider = table.take("provider", None, known, lambda v: isinstance(v, str) and v in providers)
    limits = re.compile("max_tokens|max_completion_tokens")
    model = Model(
        name=name,
        provider=providers[provider],
        upstream_name=table.text("upstream_name", name, re.compile(r"[!-~]{1,256}")),
        aliases=table.names("aliases"),
        max_tokens=table.number("max_tokens", None, MAX_TOKENS),
        max_tokens_field=table.text("max_tokens_field", "max_tokens", limits),
        max_input_bytes=table.number("max_input_bytes", 1 << 30, 1 << 30),
        timeout_s=table.number("timeout_s", 300, 3600),
        stream=table.flag("stream", True),
        capabilities=table.names("capabilities"),
        options=table.take("options", {}, f"a table of JSON values without {', '.join(sorted(FIELDS_OF_FIEDLER))}",
                           is_options),
    )
    table.end()
    return model
