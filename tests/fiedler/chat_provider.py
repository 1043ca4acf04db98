"""A provider of the chat-completions form: an HTTP server of the tests, without an HTTP library, so that it can break any
rule.

Happy path: `async with ChatProvider() as provider`; provider.url is its base address. The model of a request is the name
of a behaviour below; provider.requests has each request, whose `ended` is set when Fiedler has closed the connection.
Failure modes: an unknown behaviour gets status 404.
"""
import asyncio
import json

ANSWER = "The answer is 42. äöü 中文 \U0001f600"


class Request:
    def __init__(self, line, headers, body):
        self.line, self.headers, self.body = line, headers, body
        self.ended = asyncio.Event()


class ChatProvider:
    def __init__(self):
        self.requests, self.tasks = [], set()
        self.goes_on = asyncio.Event()  # for the behaviours that wait for the test
        self.together, self.arrived = 1, asyncio.Event()  # of waits_for_others()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def of(self, behaviour):
        return [request for request in self.requests if request.body.get("model") == behaviour]

    async def serve(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
            body = json.loads(await reader.readexactly(int(headers["content-length"])))
            request = Request(head[0], headers, body)
            self.requests.append(request)
            gone = asyncio.create_task(self.watch(reader, request))
            try:
                await getattr(self, body["model"].replace("-", "_"), self.unknown)(request, writer)
            finally:
                writer.close()
                await gone
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.tasks.discard(asyncio.current_task())

    async def watch(self, reader, request):
        try:
            await reader.read()
        except ConnectionError:
            pass
        request.ended.set()

    # What a response consists of.

    async def send(self, writer, data):
        writer.write(data if isinstance(data, bytes) else data.encode())
        await writer.drain()

    async def head(self, writer, status="200 OK", kind="application/json", *lines):
        await self.send(writer, "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {kind}", *lines, "", ""]))

    async def whole(self, writer, value, status="200 OK", *lines):
        body = json.dumps(value).encode()
        await self.head(writer, status, "application/json", f"Content-Length: {len(body)}", *lines)
        await self.send(writer, body)

    async def begin_stream(self, writer):
        await self.head(writer, "200 OK", "text/event-stream; charset=utf-8", "Transfer-Encoding: chunked")

    async def chunk(self, writer, data):
        data = data.encode() if isinstance(data, str) else data
        await self.send(writer, b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, text, finish=None):
        choice = {"index": 0, "delta": {"content": text} if text is not None else {}, "finish_reason": finish}
        return f"data: {json.dumps({'choices': [choice]})}\n\n"

    async def stream_of(self, writer, pieces):
        await self.begin_stream(writer)
        for piece in pieces:
            await self.chunk(writer, self.event(piece))
        await self.chunk(writer, self.event(None, "stop"))
        await self.chunk(writer, 'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}\n\n')
        await self.chunk(writer, "data: [DONE]\n\n")
        await self.send(writer, "0\r\n\r\n")

    # The behaviours.

    async def unknown(self, _, writer):
        await self.whole(writer, {"error": {"message": "no such model"}}, "404 Not Found")

    async def stream(self, _, writer):
        await self.stream_of(writer, [ANSWER[at : at + 3] for at in range(0, len(ANSWER), 3)])

    async def json(self, _, writer):
        choice = {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
        await self.whole(writer, {"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 5}})

    async def waits_for_others(self, request, writer):
        """Answers when as many such requests have arrived as the test wants."""
        if len(self.of(request.body["model"])) >= self.together:
            self.arrived.set()
        await self.arrived.wait()
        await self.stream(request, writer)

    async def slow(self, _, writer):
        """Sends a part, and the rest when the test says so."""
        await self.begin_stream(writer)
        await self.chunk(writer, self.event("first "))
        await self.goes_on.wait()
        await self.chunk(writer, self.event("second", "stop"))
        await self.chunk(writer, "data: [DONE]\n\n")
        await self.send(writer, "0\r\n\r\n")

    async def hang(self, request, _):
        await request.ended.wait()

    async def hang_in_stream(self, request, writer):
        await self.begin_stream(writer)
        await self.chunk(writer, self.event("first "))
        await request.ended.wait()

    async def huge(self, _, writer):
        await self.begin_stream(writer)
        while True:
            await self.chunk(writer, self.event("x" * 10000))

    async def huge_in_small_pieces(self, _, writer):
        await self.begin_stream(writer)
        pieces = self.event("x") * 100
        while True:
            await self.chunk(writer, pieces)

    async def huge_event(self, _, writer):
        await self.begin_stream(writer)
        await self.chunk(writer, "data: ")
        while True:
            await self.chunk(writer, "x" * 10000)

    async def huge_comments(self, _, writer):
        await self.begin_stream(writer)
        while True:
            await self.chunk(writer, ": nothing\n\n" * 1000)

    async def huge_object(self, _, writer):
        await self.head(writer, "200 OK", "application/json", "Connection: close")
        while True:
            await self.send(writer, "[" * 10000)

    async def huge_head(self, _, writer):
        await self.send(writer, "HTTP/1.1 200 OK\r\n")
        while True:
            await self.send(writer, "X-Header: " + "x" * 1000 + "\r\n")

    async def no_http(self, _, writer):
        await self.send(writer, b"\x00\xffnot HTTP at all\r\n\r\n")

    async def no_json(self, _, writer):
        await self.head(writer, "200 OK", "application/json", "Content-Length: 5")
        await self.send(writer, "{nope")

    async def no_choices(self, _, writer):
        await self.whole(writer, {"choices": []})

    async def other_types(self, _, writer):
        choices = [{"message": {"content": 5}, "finish_reason": []}, 7]
        await self.whole(writer, {"choices": choices, "usage": {"prompt_tokens": -1}})

    async def deep(self, _, writer):
        text = "[" * 50000 + "]" * 50000
        await self.head(writer, "200 OK", "application/json", f"Content-Length: {len(text)}")
        await self.send(writer, text)

    async def bad_event(self, _, writer):
        await self.begin_stream(writer)
        await self.chunk(writer, "data: {nope\n\n")

    async def bad_chunk(self, _, writer):
        await self.begin_stream(writer)
        await self.send(writer, "zzz\r\n")

    async def bad_chunk_later(self, request, writer):
        await self.begin_stream(writer)
        await self.chunk(writer, self.event("first "))
        await self.goes_on.wait()
        await self.send(writer, "zzz\r\n")
        await request.ended.wait()

    async def error_event(self, _, writer):
        await self.begin_stream(writer)
        await self.chunk(writer, self.event("first "))
        await self.chunk(writer, 'data: {"error": {"message": "overloaded"}}\n\n')

    async def cut(self, _, writer):
        """Ends in the middle of a chunked body."""
        await self.begin_stream(writer)
        await self.chunk(writer, self.event("first "))

    async def cut_cleanly(self, request, writer):
        """The body is complete, the answer is not."""
        await self.cut(request, writer)
        await self.send(writer, "0\r\n\r\n")

    async def cut_object(self, _, writer):
        await self.head(writer, "200 OK", "application/json", "Content-Length: 1000")
        await self.send(writer, '{"choices": [')

    async def status_401(self, request, writer):
        given = request.headers.get("authorization", "")
        await self.whole(writer, {"error": {"message": f"Incorrect API key: {given}"}}, "401 Unauthorized")

    async def status_429(self, _, writer):
        await self.whole(writer, {"error": {"message": "slow down"}}, "429 Too Many Requests", "Retry-After: 17")

    async def status_500(self, request, writer):
        """An error that repeats what was sent, as some do."""
        message = f"failed\r\n\x1b[31m with {request.headers.get('authorization')} " + "x" * 1000
        await self.whole(writer, {"error": {"message": message}}, "500 Internal Server Error")

    async def redirect(self, _, writer):
        location = f"Location: {self.url}/elsewhere"
        await self.head(writer, "307 Temporary Redirect", "text/plain", location, "Content-Length: 0")

    async def compressed(self, _, writer):
        await self.head(writer, "200 OK", "application/json", "Content-Encoding: gzip", "Content-Length: 3")
        await self.send(writer, "abc")

    async def repeats_the_key(self, request, writer):
        given = f"You sent {request.headers.get('authorization')}, thanks"
        await self.stream_of(writer, [given[at : at + 4] for at in range(0, len(given), 4)])

    async def repeats_the_key_at_once(self, request, writer):
        given = f"You sent {request.headers.get('authorization')}, thanks"
        choice = {"index": 0, "message": {"role": "assistant", "content": given}, "finish_reason": "stop"}
        await self.whole(writer, {"choices": [choice]})
