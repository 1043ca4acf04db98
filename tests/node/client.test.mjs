// Client, with servers in C on the other side.
import assert from "node:assert/strict";
import test from "node:test";
import { Client, McpError, call, codes, env, version } from "iccm-network";
import { BUILD, cServer, client, peerModule, serve, until } from "./helper.mjs";

const failed = (name) => (error) => error instanceof McpError && error.name === name && error.code === codes[name] || assert.fail(error);

test("calls of every outcome", async (t) => {
  const { url } = await cServer(t, "tests/system/slow_server");
  const peer = client(t, url);
  assert.deepEqual(await peer.call("later", { ms: 1 }), { ms: 1 });
  await assert.rejects(peer.call("refuse"), { name: "MCP_TOOL_ERROR", message: "refused on purpose" });
  await assert.rejects(peer.request("fail"), { name: "MCP_TOOL_ERROR", code: -32050, data: { error_code: "ON_PURPOSE" } });
  await assert.rejects(peer.call("later"), failed("MCP_INVALID_PARAMS"));
  await assert.rejects(peer.call("later", { ms: 2 ** 30 }, { timeout: 100 }), failed("MCP_ETIMEOUT"));
  const reports = [];
  await peer.call("later", { ms: 60, steps: 3 }, { onProgress: (...report) => reports.push(report) });
  assert.deepEqual(reports.at(-1), [3, 3, null]);
  assert.deepEqual(await peer.request("ping"), {});
  const tools = await peer.listTools();
  assert.ok(tools.some((tool) => tool.name === "shaped"));
});

test("an AbortSignal cancels a call, before and after it was sent", async (t) => {
  const { url } = await cServer(t, "tests/system/slow_server");
  const peer = client(t, url);
  await assert.rejects(peer.call("later", { ms: 0 }, { signal: AbortSignal.abort() }), { name: "AbortError" });
  await peer.call("later", { ms: 0 });
  await assert.rejects(peer.call("later", { ms: 2 ** 30 }, { signal: AbortSignal.timeout(50) }), { name: "TimeoutError" });
  await assert.rejects(call(url, "later", { ms: 2 ** 30 }, { signal: AbortSignal.timeout(50) }), { name: "TimeoutError" });
});

test("a peer that is not available, that ends, and that comes back", async (t) => {
  const states = [];
  const gone = client(t, "127.0.0.1:1", { failFast: true, onState: (error) => states.push(error?.name) });
  await assert.rejects(gone.call("echo"), failed("MCP_ECONNECT"));
  await until(() => states.includes("MCP_ECONNECT"), "the state is reported");

  const first = await cServer(t, "tests/system/slow_server");
  const peer = client(t, first.url).connect();
  const lost = assert.rejects(peer.call("sleep", { ms: 600_000 }), failed("MCP_EDISCONNECTED"));
  await peer.call("later", { ms: 0 });
  first.child.kill("SIGKILL");
  await lost;
  const port = new URL(first.url).port;
  await serve(t, `${BUILD}/tests/system/slow_server`, [port]);
  assert.deepEqual(await peer.call("later", { ms: 0 }), { ms: 0 });
});

test("notifications of the peer", async (t) => {
  const ws = peerModule("ws");
  if (ws === null) return t.skip(console.log("NOT RUN: notifications: npm's registry cannot be reached"));
  const server = new ws.WebSocketServer({ port: 0 });
  t.after(() => server.close());
  server.on("connection", (socket) => socket.on("message", (text) => {
    const { id, method } = JSON.parse(text);
    if (id === undefined) return;
    socket.send(JSON.stringify({ jsonrpc: "2.0", method: "notifications/test", params: { of: method } }));
    socket.send(JSON.stringify({ jsonrpc: "2.0", method: "notifications/bare" }));
    socket.send(JSON.stringify({ jsonrpc: "2.0", id, result: { protocolVersion: "2024-11-05", capabilities: {}, serverInfo: {} } }));
  }));
  const seen = [];
  const peer = client(t, `localhost:${server.address().port}`, { onNotification: (...each) => seen.push(each) });
  await peer.request("ping");
  assert.deepEqual(seen.slice(-2), [["notifications/test", { of: "ping" }], ["notifications/bare", undefined]]);
});

test("close fails what waits, and a closed client refuses", async (t) => {
  const { url } = await cServer(t, "tests/system/slow_server");
  const peer = new Client(url);
  const waits = assert.rejects(peer.call("later", { ms: 2 ** 30 }), failed("MCP_ECLOSED"));
  const closed = peer.close();
  assert.equal(peer.close(), closed);
  await Promise.all([waits, closed]);
  await assert.rejects(peer.call("later"), failed("MCP_ECLOSED"));
  assert.throws(() => peer.connect(), failed("MCP_ECLOSED"));
  await new Client(url).close(); // never used
});

test("the time of a call begins with the call, also if the loop was busy before", async (t) => {
  const { url } = await cServer(t, "examples/echo");
  const peer = client(t, url);
  await peer.call("echo");
  let answered = 0;
  for (let i = 0; i < 10 && !answered; i++) { // a slow machine may need more than one attempt
    for (const end = Date.now() + 300; Date.now() < end; );
    await peer.call("echo", {}, { timeout: 250 }).then(() => answered++, () => {});
  }
  assert.equal(answered, 1);
});

test("invalid addresses, options and arguments", async (t) => {
  assert.throws(() => new Client("ftp://a"), /ftp/);
  for (const make of [
    () => new Client(), () => new Client("a\0"), () => new Client("a", { failfast: true }), () => new Client("a", { onState: 1 }),
  ]) assert.throws(make, TypeError, String(make));
  assert.throws(() => new Client("wss://a", { tlsCa: "/nonexistent" }), /nonexistent/);
  const peer = client(t, "127.0.0.1:1");
  for (const [tool, args, options] of [
    [1], ["a", 1n], ["a", () => 1], ["a", [1]], ["a", null], ["a", {}, { timeout: -1 }], ["a", {}, { timeouts: 1 }], ["a", {}, { signal: 1 }],
  ]) await assert.rejects(peer.call(tool, args, options), TypeError);
});

test("settings from the environment", () => {
  process.env.TEST_NUMBER = "12";
  process.env.TEST_BAD = "x";
  process.env.TEST_PATHS = "/a:/b c";
  assert.equal(env.int("TEST_NUMBER", 1, { min: 0, max: 20 }), 12);
  assert.equal(env.int("TEST_UNSET", -7), -7);
  assert.throws(() => env.int("TEST_NUMBER", 1, { max: 3 }), failed("MCP_EENV"));
  assert.throws(() => env.int("TEST_BAD", 1), failed("MCP_EENV"));
  assert.equal(env.bool("TEST_UNSET", true), true);
  assert.throws(() => env.bool("TEST_BAD", true), failed("MCP_EENV"));
  assert.equal(env.text("TEST_BAD", "y"), "x");
  assert.equal(env.text("TEST_UNSET"), undefined);
  assert.deepEqual(env.directories("TEST_PATHS"), ["/a", "/b c"]);
  assert.throws(() => env.directories("TEST_BAD"), failed("MCP_EENV"));
  for (const read of [() => env.int("A"), () => env.int("A", 1.5), () => env.bool("A"), () => env.text(), () => env.dataPath("A")]) {
    assert.throws(read, TypeError, String(read));
  }
  assert.match(version, /^\d+\.\d+\.\d+$/);
});
