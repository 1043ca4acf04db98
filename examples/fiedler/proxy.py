"""The HTTP proxy: requests of the chat-completions form, passed on to the provider of the model that they name.

Happy path: POST /v1/chat/completions is checked, gets the name that the provider knows, the limit of tokens and the
provider's key, and the response goes back piece by piece while it arrives. GET /v1/models lists the models, GET /healthz
responds while the process lives. Failure: an error object with a code of failure.py; a response that has begun is cut by
closing the connection. The caller's Authorization is Fiedler's token, and is never passed on.

The log has a line for each request at INFO, and the beginning of its body and its response at DEBUG.
"""
import asyncio
import json
import logging
import time

from aiohttp import web

from .chat import ENVELOPE_BYTES, check_size, key_refused
from .door import HEAD_S, Door, listening_socket
from .failure import INTERNAL_ERROR, INVALID_INPUT, PROVIDER_ERROR, Failure
from .provider import Upstream
from .redact import without_named_secrets
from .send import key_for

BODY_S, WRITE_S, STOP_S = 30, 60, 5
LOGGED_BYTES = 16384
MAX_DEPTH = 64
LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")
log = logging.getLogger("fiedler.proxy")


def is_too_deep(value):
    """Whether arrays and objects are nested deeper than the library permits. Some versions of Python parse any depth."""
    level = [value]
    for _ in range(MAX_DEPTH):
        parts = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, (dict, list))]
        level = [child for part in parts for child in part]
    return any(isinstance(each, (dict, list)) for each in level)


class Proxy:
    def __init__(self, settings, models, keys, secrets, session, admission):
        self.settings, self.models, self.keys, self.secrets = settings, models, keys, secrets
        self.session, self.admission = session, admission
        self.running = set()

    async def start(self, ssl_context):
        """Listens; raises OSError if it cannot."""
        app = web.Application(middlewares=[self.middleware])
        app.router.add_post("/v1/chat/completions", self.completions)
        app.router.add_get("/v1/models", self.list_models)
        app.router.add_get("/healthz", self.health)
        self.runner = web.AppRunner(app, access_log=None, auto_decompress=False, keepalive_timeout=30)
        await self.runner.setup()
        listening = listening_socket(self.settings.proxy_port)
        self.port = listening.getsockname()[1]
        self.listener = await asyncio.get_running_loop().create_server(
            Door(self.runner.server, self.admission.peer_problem), sock=listening, ssl=ssl_context,
            ssl_handshake_timeout=HEAD_S if ssl_context else None)
        log.info("the proxy is listening on port %d", self.port)

    async def stop(self):
        """Requests have STOP_S to end."""
        self.listener.close()
        if self.running:
            await asyncio.wait(self.running, timeout=STOP_S)
        for task in self.running:
            task.cancel()
        await self.runner.server.shutdown(1)
        await self.runner.cleanup()

    @web.middleware
    async def middleware(self, request, handler):
        if request.transport is None:  # the peer has left
            raise asyncio.CancelledError
        return await request.transport.get_protocol().serve(request.content, self.respond(request, handler))

    async def respond(self, request, handler):
        problem = self.admission.problem(request.method, request.path, request.headers)
        if problem is not None:
            return web.Response(status=problem[0], text=problem[1] + "\n", headers={"Connection": "close"})
        try:
            return await handler(request)
        except Failure as failure:
            return error_response(400 if failure.code == INVALID_INPUT else 502, failure)
        except web.HTTPException as refused:  # no such path or method
            return error_response(refused.status, Failure(INVALID_INPUT, f"{refused.reason}: see the README"))
        except Exception as defect:
            log.exception("a request failed")
            return error_response(500, Failure(INTERNAL_ERROR, "internal error", type=type(defect).__name__))

    async def health(self, _):
        return web.Response(text="ok\n")

    async def list_models(self, _):
        return web.json_response({"object": "list", "data": [
            {"id": model.name, "object": "model", "owned_by": model.provider.name} for model in self.models.all]})

    async def completions(self, request):
        if len(self.running) >= self.settings.max_requests:
            response = error_response(503, Failure(PROVIDER_ERROR, "too many requests at once, retry later"))
            response.headers["Retry-After"] = "1"
            return response
        task = asyncio.current_task()
        self.running.add(task)
        try:
            body = await self.read_body(request)
            try:
                model, parts, logged = await asyncio.to_thread(self.checked, body)
            except (ValueError, RecursionError):
                raise Failure(INVALID_INPUT, "the body is not JSON, is nested too deep, or has NaN or infinity") from None
            return await self.pass_on(request, model, parts, logged)
        finally:
            self.running.discard(task)

    async def read_body(self, request):
        limit = self.settings.max_package_bytes + ENVELOPE_BYTES
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Failure(INVALID_INPUT, "send the body without Content-Encoding")
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                while piece := await request.content.readany():
                    body += piece
                    if len(body) > limit:
                        raise Failure(INVALID_INPUT, f"the body has more than {limit} bytes: raise FIEDLER_MAX_PACKAGE_BYTES")
        except TimeoutError:
            raise Failure(INVALID_INPUT, f"the body did not arrive in {BODY_S} s") from None
        return bytes(body)

    def checked(self, body):
        """Returns the model, the pieces of the body for its provider, and the text for the log."""
        value = json.loads(body)
        if is_too_deep(value):
            raise ValueError("nested too deep")
        if not isinstance(value, dict) or not isinstance(value.get("model"), str):
            raise Failure(INVALID_INPUT, "the body is not a JSON object with a model")
        model = self.models.find(value["model"])
        if value.get("n") not in (None, 1):
            raise Failure(INVALID_INPUT, "n: one answer for each request")
        if value.get("stream") and not model.stream:
            raise Failure(INVALID_INPUT, f"{model.name} does not stream")
        limits = [value.pop(name) for name in LIMIT_FIELDS if value.get(name) is not None]
        if any(type(limit) is not int or not 1 <= limit <= model.max_tokens for limit in limits):
            raise Failure(INVALID_INPUT, f"the limit of tokens is a whole number from 1 to {model.max_tokens}")
        limit = min([model.max_tokens, *limits])
        sent = model.options | value | {"model": model.upstream_name, model.max_tokens_field: limit}
        parts = [json.dumps(sent, ensure_ascii=False, allow_nan=False).encode(errors="replace")]
        check_size(model, parts)
        return model, parts, self.logged(json.dumps(without_named_secrets(value), ensure_ascii=False))

    async def pass_on(self, request, model, parts, logged):
        began, upstream, response, counted = time.monotonic(), None, None, Passed(log.isEnabledFor(logging.DEBUG))
        try:
            async with asyncio.timeout(model.timeout_s):
                key = await key_for(self.keys, model.provider)
                upstream = await Upstream.open(self.session, model, key, parts, self.settings.max_answer_bytes)
                if upstream.status in (401, 403):  # the caller's own token is right
                    raise Failure(PROVIDER_ERROR, f"{upstream.provider}: {key_refused(upstream)}")
                response = web.StreamResponse(status=upstream.status, headers=passed_headers(upstream.response))
                await response.prepare(request)
                await self.copy(upstream, response, counted)
                await response.write_eof()
            return response
        except (Failure, TimeoutError) as error:
            failure = error if isinstance(error, Failure) else Failure(
                PROVIDER_ERROR, f"{model.provider.name}: no complete response in {model.timeout_s} s")
            counted.failure = str(failure)
            if response is None or not response.prepared:
                raise failure from None
            if request.transport is not None:
                request.transport.abort()  # what was sent must not look complete
            return response
        except (asyncio.CancelledError, ConnectionError):
            counted.failure = "the caller left, or Fiedler stops"
            raise
        finally:
            if upstream is not None:
                upstream.close()
            self.report(model, upstream, parts, counted, time.monotonic() - began, logged)

    async def copy(self, upstream, response, counted):
        filtered = self.secrets.stream()  # a provider may send back what it was sent
        while piece := await upstream.read():
            await self.write(response, filtered.feed(piece), counted)
        await self.write(response, filtered.end(), counted)

    async def write(self, response, piece, counted):
        counted.add(piece)
        if not piece:
            return
        try:
            async with asyncio.timeout(WRITE_S):
                await response.write(piece)
        except TimeoutError:
            raise Failure(INVALID_INPUT, f"the caller did not read its response for {WRITE_S} s") from None

    def report(self, model, upstream, parts, counted, duration_s, logged):
        data = {"model": model.name, "provider": model.provider.name, "status": upstream.status if upstream else None,
                "bytes_sent": sum(map(len, parts)), "bytes_received": counted.bytes, "duration_ms": round(duration_s * 1000)}
        if counted.failure is not None:
            log.warning("request failed", extra={"data": data | {"error": counted.failure}})
        else:
            log.info("request passed on", extra={"data": data})
        if counted.keep:
            begin = self.logged(counted.begin.decode(errors="replace"))
            log.debug("request and response", extra={"data": {"model": model.name, "request": logged, "response": begin}})

    def logged(self, text):
        return self.secrets.text(text)[:LOGGED_BYTES]


class Passed:
    """What went back to the caller."""

    def __init__(self, keep):
        self.keep, self.bytes, self.begin, self.failure = keep, 0, bytearray(), None

    def add(self, piece):
        self.bytes += len(piece)
        if self.keep:
            self.begin += piece[: LOGGED_BYTES - len(self.begin)]


def passed_headers(response):
    names = ("Content-Type", "Retry-After")
    return {name: response.headers[name] for name in names if name in response.headers} | {"Cache-Control": "no-store"}


def error_response(status, failure):
    value = failure.as_object()
    return web.json_response({"error": value | {"type": value.get("type", value["code"])}}, status=status)
