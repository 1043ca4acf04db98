"""A WebSocket proxy in front of Godot: tools are listed and called through it, also after a restart of Godot."""
import asyncio
import sys
from pathlib import Path

from caller import Caller, connect
from services import AsyncTestCase, System, main, wait_ready

FORWARDER = Path(__file__).with_name("forwarder.py")
ENTRY = {"component": "relayed", "level": "INFO", "message": "through the relay"}


class Relayed(AsyncTestCase):
    def setUp(self):
        self.system = self.enterContext(System())
        self.system.start()
        self.forwarder = self.system.add("forwarder", sys.executable, FORWARDER, "0", self.system.godot_url)
        self.system.programs.insert(0, self.system.programs.pop())  # it ends first
        self.url = f"ws://127.0.0.1:{self.forwarder.start().port()}"

    async def use(self, caller):
        tools = (await caller.request("tools/list"))["result"]["tools"]
        self.assertIn("logger_log", {tool["name"] for tool in tools})
        self.assertEqual((await caller.call("logger_log", ENTRY))["status"], "ok")

    async def test_tools_are_listed_and_called(self):
        for path in ("", "/", "/godot/mcp?a=b"):
            async with Caller(self.url + path) as caller:
                version = (await caller.request("initialize", {"protocolVersion": "2024-11-05"}))["result"]
                self.assertEqual(version["protocolVersion"], "2024-11-05")
                await self.use(caller)
                await asyncio.gather(*(caller.call("logger_log", ENTRY) for _ in range(200)))
                await caller.call("logger_query", {"limit": 10})

    async def restart_godot(self, end):
        await asyncio.to_thread(end)
        self.system.godot.start()
        await asyncio.to_thread(wait_ready, self.system.godot_port)

    async def test_clients_are_served_after_a_restart(self):
        async with Caller(self.url) as old:
            await self.use(old)
            for end in (self.system.godot.stop, self.system.godot.kill):
                await self.restart_godot(end)
                async with Caller(self.url) as new:
                    await self.use(new)
                await self.use(old)  # without another initialize

    async def test_a_client_may_come_while_godot_is_away(self):
        await asyncio.to_thread(self.system.godot.stop)
        async with Caller(self.url) as early:
            listing = asyncio.create_task(early.request("tools/list"))
            await asyncio.to_thread(self.forwarder.wait_for, "backend unavailable")
            self.system.godot.start()
            self.assertIn("result", await listing)
            await self.use(early)

    async def test_godot_outlives_clients_that_vanish(self):
        for _ in range(10):
            async with connect(self.url) as ws:
                await ws.send('{"jsonrpc":"2.0","id":1,"method":"tools/list"}')
                ws.transport.abort()
        async with Caller(self.url) as caller:
            await self.use(caller)


if __name__ == "__main__":
    main()
