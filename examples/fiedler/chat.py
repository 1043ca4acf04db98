"""Asks one model, and reads its answer: streamed as server-sent events, or as one JSON object.

Happy path: ask() returns an Answer. Failure: PROVIDER_ERROR, also after the model's timeout_s. An answer is complete, or
there is none. What takes time in proportion to an answer runs in a thread.
"""
import asyncio
import json
from dataclasses import dataclass

from .failure import INVALID_INPUT, PROVIDER_ERROR, Failure, shown
from .provider import Upstream
from .sse import EventReader, TooLarge

ENVELOPE_BYTES = 65536  # of an event or an object, beside the text of the answer
MAX_COUNT = 1 << 53


@dataclass
class Answer:
    text: str
    finish_reason: str | None
    tokens: dict


class Reader:
    """Puts an answer together. Text is kept as UTF-8: a million pieces of one character need a million bytes."""

    def __init__(self, provider, secrets, max_bytes):
        self.provider, self.secrets, self.max_bytes = provider, secrets, max_bytes
        self.text, self.finish_reason, self.tokens = bytearray(), None, {}

    def take(self, value, member):
        """member: "delta" of an event, "message" of a whole response."""
        if not isinstance(value, dict):
            raise self.failure("the response is not a JSON object")
        if value.get("error") is not None:
            raise self.failure(message_of(value, self.secrets))
        choices = value.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        part = choice.get(member)
        content = part.get("content") if isinstance(part, dict) else None
        if not isinstance(content, str | None):
            raise self.failure("the answer is not text")
        self.text += (content or "").encode(errors="replace")
        if len(self.text) > self.max_bytes:
            raise self.failure(f"the answer has more than {self.max_bytes} bytes (FIEDLER_MAX_ANSWER_BYTES)")
        if isinstance(choice.get("finish_reason"), str):
            self.finish_reason = shown(choice["finish_reason"], 32)
        usage = value.get("usage")
        for name in ("prompt", "completion"):
            count = usage.get(f"{name}_tokens") if isinstance(usage, dict) else None
            if type(count) is int and 0 <= count < MAX_COUNT:
                self.tokens[name] = count

    def answer(self):
        return Answer(self.secrets.text(self.text.decode()), self.finish_reason, self.tokens)

    def failure(self, reason):
        return Failure(PROVIDER_ERROR, f"{self.provider}: {reason}")


async def ask(session, model, key, messages, secrets, max_answer_bytes, on_bytes):
    """messages: as JSON. on_bytes(count) gets the number of bytes that have arrived."""
    parts = request_parts(model, messages)
    reader = Reader(model.provider.name, secrets, max_answer_bytes)
    try:
        async with asyncio.timeout(model.timeout_s):
            upstream = await Upstream.open(session, model, key, parts, max_answer_bytes)
            try:
                if upstream.status != 200:
                    raise reader.failure(await refusal(upstream, secrets))
                read = read_stream if upstream.is_stream else read_object
                await read(upstream, reader, on_bytes)
            finally:
                upstream.close()
    except TimeoutError:
        raise reader.failure(f"no complete answer in {model.timeout_s} s") from None
    return await asyncio.to_thread(reader.answer)


def request_parts(model, messages):
    settings = {"model": model.upstream_name, model.max_tokens_field: model.max_tokens, "stream": model.stream}
    head = json.dumps(settings | model.options)[:-1].encode() + b', "messages": '
    parts = [head, messages, b"}"]
    check_size(model, parts)
    return parts


def check_size(model, parts):
    if sum(map(len, parts)) > model.max_input_bytes:
        raise Failure(INVALID_INPUT, f"the request has more than {model.max_input_bytes} bytes, the limit of {model.name}")


async def read_stream(upstream, reader, on_bytes):
    events = EventReader(reader.max_bytes + ENVELOPE_BYTES)
    try:
        while piece := await upstream.read():
            for event in events.feed(piece):
                if event == b"[DONE]":
                    return
                reader.take(json_of(event, reader), "delta")
            on_bytes(len(reader.text))
    except TooLarge:
        raise reader.failure("an event of the stream is too large") from None
    if reader.finish_reason is None:
        raise reader.failure(f"the stream ended after {len(reader.text)} bytes, before the answer was complete")


async def read_object(upstream, reader, _):
    text = await upstream.read_all(2 * reader.max_bytes + ENVELOPE_BYTES)
    value = await asyncio.to_thread(json_of, text, reader)
    reader.take(value, "message")
    if not isinstance(value.get("choices"), list) or not value["choices"]:
        raise reader.failure("the response has no choices")


def json_of(text, reader):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise reader.failure("the response is not JSON") from None


async def refusal(upstream, secrets):
    """What a response other than 200 says."""
    if upstream.status in (401, 403):  # these messages often repeat a part of the key
        return key_refused(upstream)
    try:
        message = message_of(json.loads(await upstream.read_all(ENVELOPE_BYTES)), secrets)
    except (Failure, ValueError, RecursionError):
        message = "no reason given"
    retry = upstream.response.headers.get("Retry-After", "")
    wait = f", retry after {retry} s" if retry.isascii() and retry.isdigit() and len(retry) <= 6 else ""
    return f"status {upstream.status}{wait}: {message}"


def key_refused(upstream):
    return f"the key was refused ({upstream.status}): store another one with fiedler_set_key"


def message_of(value, secrets):
    error = value.get("error") if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return shown(secrets.text(message)) if isinstance(message, str) and message else "no reason given"
