"""A log store that a test can make do what real ones rarely do, and a Redis, a server and workers around it.

Happy path: `async with Parts() as parts: await parts.start(...)`. StandIn.behave decides about each batch: it answers a
result, raises Refuse, or raises Vanish to close the connection without an answer (stored or not, as it likes).
"""
import asyncio
import json
import socket

import websockets

from caller import SERVER_OPTIONS
from services import WAIT_S, System, http_get, wait_until_async


class Refuse(Exception):
    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({"data": data} if data else {})


class Vanish(Exception):
    def __init__(self, code=1000):
        super().__init__()
        self.code = code


class StandIn:
    """Keeps each (id, created_at) once, as a store does; calls are what it was asked, in order, traces
    under which ids, texts in which words; notices are the methods of notifications."""

    def __init__(self, port):
        self.port, self.stored, self.calls, self.traces, self.batches, self.server = port, {}, [], [], [], None
        self.texts, self.notices = [], []
        self.behave = self.store
        self.unready = None  # the error that says why it is not
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
                if '"dewey_ready"' in text:  # once a second, whatever a test does; not known, as to older stores
                    error = self.unready or {"code": -32601, "message": "unknown tool"}
                    await ws.send(json.dumps({"jsonrpc": "2.0", "id": json.loads(text)["id"], "error": error}))
                    continue
                self.texts.append(text)
                tasks.add(asyncio.create_task(self.serve_one(ws, json.loads(text))))
        except websockets.exceptions.ConnectionClosed:
            pass
        await asyncio.gather(*tasks)

    async def serve_one(self, ws, message):
        if "id" not in message:
            self.notices.append(message["method"])
            return
        try:
            await ws.send(json.dumps({"jsonrpc": "2.0", "id": message["id"]} | await self.answer(message)))
        except Vanish as vanish:
            await ws.close(vanish.code)
        except websockets.exceptions.ConnectionClosed:
            pass

    async def answer(self, message):
        if message["method"] == "initialize":
            info = {"name": "stand-in", "version": "1"}
            return {"result": {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": info}}
        if message["method"] != "tools/call":
            return {"result": {}}
        name, arguments = message["params"]["name"], message["params"].get("arguments", {})
        self.calls.append((name, arguments))
        self.traces.append(message["params"].get("_meta", {}).get("trace_id"))
        try:
            text = await self.run(name, arguments)
        except Refuse as refusal:
            return {"error": refusal.error}
        return {"result": {"content": [{"type": "text", "text": text}]}}

    async def run(self, name, arguments):
        if name != "dewey_store_logs_batch":
            answer = self.answers[name]
            if isinstance(answer, Exception):
                raise answer
            return answer
        self.batches.append(arguments["logs"])
        result = self.behave(arguments["logs"])
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


class Parts(System):
    """Redis, Godot's programs and a stand-in for the store; settings are quick."""

    def __init__(self, **settings):
        quick = {"RETRY_INITIAL_DELAY": "0.02", "RETRY_MAX_DELAY": "0.2", "BATCH_TIMEOUT_MS": "20"}
        super().__init__(**(quick | settings))
        self.stand_in = StandIn(self.dewey_port)

    async def __aenter__(self):
        self.__enter__()
        self.start_redis()
        return self

    async def __aexit__(self, kind, error, trace):
        # in a thread, since programs that stop may still want an answer of the stand-in
        await asyncio.to_thread(self.__exit__, kind, error, trace)
        await self.stand_in.close()

    def ask(self, *words):
        """One command to Redis, whatever its bytes; the answer as int, bytes, None or list."""
        with socket.create_connection(("127.0.0.1", self.redis_port), timeout=WAIT_S) as link:
            parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
            link.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
            return read_answer(link.makefile("rb"))

    def push(self, *entries):
        """As a producer that knows nothing of Godot."""
        self.ask("LPUSH", "logs:queue", *(e if isinstance(e, (bytes, str)) else json.dumps(e) for e in entries))

    def number(self, *words):
        return int(self.ask(*words) or 0)

    def redis_there(self):
        """Whether Godot's server has found Redis; the store may be away."""
        try:
            return b"redis" not in http_get(self.godot_port, path="/readyz").body
        except OSError:
            return False

    def dead(self):
        return [json.loads(letter) for letter in self.ask("LRANGE", "logs:dead", 0, -1)]

    def is_empty(self):
        return self.number("LLEN", "logs:queue") + self.number("ZCARD", "logs:inflight") == 0

    async def until(self, condition, what):
        await wait_until_async(condition, what)

    async def drained(self):
        await wait_until_async(self.is_empty, "the queue is empty")


def read_answer(file):
    kind, rest = (line := file.readline().rstrip(b"\r\n"))[:1], line[1:]
    if kind == b"-":
        raise AssertionError(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == b"-1" else file.read(int(rest) + 2)[:-2]
    if kind == b"*":
        return [read_answer(file) for _ in range(int(rest))]
    return rest
