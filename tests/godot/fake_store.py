"""A fake log store that a test controls, with a real Redis, Godot server and workers.

Happy path: `async with FakeStoreSystem() as system: await system.fake_store.open()`. FakeStore.on_batch handles each
batch: it returns a result, raises ErrorResponse, or raises Disconnect to close the connection without a response; it
stores the batch or not.
"""
import asyncio
import json
import socket

import websockets

from caller import SERVER_OPTIONS
from services import WAIT_S, System, http_get, wait_until_async


class ErrorResponse(Exception):
    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({"data": data} if data else {})


class Disconnect(Exception):
    def __init__(self, code=1000):
        super().__init__()
        self.code = code


class FakeStore:
    """Stores each (id, created_at) once, as a real store does. calls: the tool calls, in order; traces: their trace ids;
    raw_messages: received messages as text; notifications: methods of received notifications."""

    def __init__(self, port):
        self.port, self.stored, self.calls, self.traces, self.batches, self.server = port, {}, [], [], [], None
        self.raw_messages, self.notifications = [], []
        self.on_batch = self.store
        self.not_ready_error = None  # the error that dewey_ready returns
        self.answers = {"dewey_query_logs": "[]", "dewey_clear_logs": '{"status":"ok","deleted_count":0}'}

    async def open(self):
        self.server = await websockets.serve(self.serve, "127.0.0.1", self.port, **SERVER_OPTIONS)

    async def close(self):
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()
        self.server = None

    async def serve(self, ws, *_):
        tasks = set()
        try:
            async for text in ws:
                if '"dewey_ready"' in text:  # sent once a second; unknown by default, as with older stores
                    error = self.not_ready_error or {"code": -32601, "message": "unknown tool"}
                    await ws.send(json.dumps({"jsonrpc": "2.0", "id": json.loads(text)["id"], "error": error}))
                    continue
                self.raw_messages.append(text)
                tasks.add(asyncio.create_task(self.serve_one(ws, json.loads(text))))
        except websockets.exceptions.ConnectionClosed:
            pass
        await asyncio.gather(*tasks)

    async def serve_one(self, ws, message):
        if "id" not in message:
            self.notifications.append(message["method"])
            return
        try:
            await ws.send(json.dumps({"jsonrpc": "2.0", "id": message["id"]} | await self.answer(message)))
        except Disconnect as disconnect:
            await ws.close(disconnect.code)
        except websockets.exceptions.ConnectionClosed:
            pass

    async def answer(self, message):
        if message["method"] == "initialize":
            info = {"name": "fake-store", "version": "1"}
            return {"result": {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": info}}
        if message["method"] != "tools/call":
            return {"result": {}}
        name, arguments = message["params"]["name"], message["params"].get("arguments", {})
        self.calls.append((name, arguments))
        self.traces.append(message["params"].get("_meta", {}).get("trace_id"))
        try:
            text = await self.run(name, arguments)
        except ErrorResponse as response:
            return {"error": response.error}
        return {"result": {"content": [{"type": "text", "text": text}]}}

    async def run(self, name, arguments):
        if name != "dewey_store_logs_batch":
            answer = self.answers[name]
            if isinstance(answer, Exception):
                raise answer
            return answer
        self.batches.append(arguments["logs"])
        result = self.on_batch(arguments["logs"])
        return json.dumps(await result if asyncio.iscoroutine(result) else result)

    def store(self, logs, reject=lambda entry: None):
        rejected, inserted = [], 0
        for index, entry in enumerate(logs):
            if reason := reject(entry):
                rejected.append({"index": index, "id": entry.get("id"), "reason": reason})
                continue
            key = (entry["id"], entry["created_at"])
            inserted += key not in self.stored
            self.stored.setdefault(key, entry)
        duplicates = len(logs) - inserted - len(rejected)
        return {"status": "ok", "inserted_count": inserted, "duplicates": duplicates, "rejected": rejected}

    def messages(self):
        return [entry["message"] for entry in self.stored.values()]


class FakeStoreSystem(System):
    """Redis, Godot's programs and a fake store, with short retry delays."""

    def __init__(self, **settings):
        quick = {"RETRY_INITIAL_DELAY": "0.02", "RETRY_MAX_DELAY": "0.2", "BATCH_TIMEOUT_MS": "20"}
        super().__init__(**(quick | settings))
        self.fake_store = FakeStore(self.dewey_port)

    async def __aenter__(self):
        self.__enter__()
        self.start_redis()
        return self

    async def __aexit__(self, kind, error, trace):
        # in a thread, since programs that stop may still wait for a response of the fake store
        await asyncio.to_thread(self.__exit__, kind, error, trace)
        await self.fake_store.close()

    def resp_command(self, *words):
        """Sends one command to Redis, which may be binary; returns the reply as int, bytes, None or list."""
        with socket.create_connection(("127.0.0.1", self.redis_port), timeout=WAIT_S) as connection:
            parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
            connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
            return read_reply(connection.makefile("rb"))

    def push(self, *entries):
        """Pushes entries directly, as a legacy producer does."""
        self.resp_command("LPUSH", "logs:queue", *(e if isinstance(e, (bytes, str)) else json.dumps(e) for e in entries))

    def resp_int(self, *words):
        return int(self.resp_command(*words) or 0)

    def is_redis_connected(self):
        """Whether Godot's server is connected to Redis; the store may be unavailable."""
        try:
            return b"redis" not in http_get(self.godot_port, path="/readyz").body
        except OSError:
            return False

    def dead_letters(self):
        return [json.loads(letter) for letter in self.resp_command("LRANGE", "logs:dead", 0, -1)]

    def is_empty(self):
        return self.resp_int("LLEN", "logs:queue") + self.resp_int("ZCARD", "logs:inflight") == 0

    async def until(self, condition, what):
        await wait_until_async(condition, what)

    async def wait_drained(self):
        await wait_until_async(self.is_empty, "the queue is empty")


def read_reply(file):
    kind, rest = (line := file.readline().rstrip(b"\r\n"))[:1], line[1:]
    if kind == b"-":
        raise AssertionError(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == b"-1" else file.read(int(rest) + 2)[:-2]
    if kind == b"*":
        return [read_reply(file) for _ in range(int(rest))]
    return rest
