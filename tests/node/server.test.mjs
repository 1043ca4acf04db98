// Server: each kind of handler, bad input, failing handlers, cancellation, settings.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Content, McpError, Server, call, codes, currentCall, log } from "iccm-network";
import { client, deferred, iccm, peerModule, started, until } from "./helper.mjs";

const failsWith = (name, message) => (error) => {
  assert.ok(error instanceof McpError, String(error));
  assert.equal(error.name, name);
  assert.equal(error.code, codes[name]);
  assert.match(error.message, message);
  return true;
};

test("each kind of handler answers", async (t) => {
  const { url } = await started(t, {
    value: () => ({ text: "ä\u0000𝄞", numbers: [0, -1.5, 2 ** 53 - 1] }),
    promise: async () => { await sleep(1); return [1, null]; },
    nothing: () => undefined,
    content: () => new Content([{ type: "text", text: "plain" }]),
    structured: () => new Content([{ type: "text", text: "seen" }], { structured: { a: 1 } }),
    echo: (args) => args,
  });
  const peer = client(t, url);
  assert.deepEqual(await peer.call("value"), { text: "ä\u0000𝄞", numbers: [0, -1.5, 2 ** 53 - 1] });
  assert.deepEqual(await peer.call("promise"), [1, null]);
  assert.equal(await peer.call("nothing"), null);
  assert.deepEqual((await peer.call("content")).content, [{ type: "text", text: "plain" }]);
  assert.deepEqual((await peer.call("structured")).content, [{ type: "text", text: "seen" }]);
  assert.deepEqual(await call(url.replace("ws:", "http:"), "structured"), { a: 1 }); // with a newer version of the protocol
  for (const size of [0, 1000, 1018, 1019, 1020, 1021, 1022, 1023, 1024, 1025, 5000]) { // around the buffer of the addon
    for (const letter of ["x", "ü", "𝄞"]) {
      const text = letter.repeat(size / Buffer.byteLength(letter)) + "x".repeat(size % 4);
      assert.deepEqual(await peer.call("echo", { text }), { text });
    }
  }
  assert.deepEqual(JSON.parse(await iccm(t, "--json", "call", url, "value")).numbers, [0, -1.5, 2 ** 53 - 1]);
});

test("arguments are validated before the handler", async (t) => {
  const schema = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
  const { url } = await started(t, { greet: [{ schema, strict: true }, ({ name }) => name] });
  const peer = client(t, url);
  assert.equal(await peer.call("greet", { name: "Ada" }), "Ada");
  for (const args of [undefined, {}, { name: 1 }, { name: "Ada", nam: 1 }]) {
    await assert.rejects(peer.call("greet", args), failsWith("MCP_INVALID_PARAMS", /nam/));
  }
  await assert.rejects(peer.call("missing"), failsWith("MCP_METHOD_NOT_FOUND", /missing/));
});

test("a role permits what the tools declare", async (t) => {
  const file = join(mkdtempSync(join(tmpdir(), "tokens-")), "tokens");
  writeFileSync(file, `walt write never sha256:${createHash("sha256").update("a-token").digest("hex")}\n`);
  t.after(() => rmSync(dirname(file), { recursive: true }));
  process.env.ICCM_TOKENS = file;
  t.after(() => { delete process.env.ICCM_TOKENS; });
  const { server, url } = await started(t, { plain: () => 1, rule: [{ admin: true }, () => 2] });
  const peer = client(t, url, { authToken: "a-token" });
  assert.equal(await peer.call("plain"), 1);
  await assert.rejects(peer.call("rule"), /rule needs the role admin: the token "walt" has the role write/);
  writeFileSync(file, "");
  server.reload();
  await assert.rejects(peer.call("plain"));
});

test("a handler that fails on purpose has its message, code and data", async (t) => {
  const { url } = await started(t, {
    plain: () => { throw new McpError("no such file"); },
    rejects: async () => { throw new McpError("busy", { code: -32050, data: { retry: true } }); },
    content: () => new Content([{ type: "text", text: "cannot" }], { isError: true }),
    params: () => { throw new McpError("of another call", { code: codes.MCP_INVALID_PARAMS }); },
    bad: () => { throw new McpError("with data", { data: 1n }); },
  });
  const peer = client(t, url);
  await assert.rejects(peer.call("plain"), failsWith("MCP_TOOL_ERROR", /^no such file$/));
  await assert.rejects(peer.call("content"), failsWith("MCP_TOOL_ERROR", /^cannot$/));
  await assert.rejects(peer.call("params"), failsWith("MCP_TOOL_ERROR", /^of another call$/));
  await assert.rejects(peer.call("bad"), failsWith("MCP_INTERNAL_ERROR", /see the log/));
  // A direct call gets the code and the data of any protocol version.
  await assert.rejects(peer.request("rejects"), { code: -32050, name: "MCP_TOOL_ERROR", message: "busy", data: { retry: true } });
});

test("what an unexpected exception says does not leave the server", async (t) => {
  const circular = {};
  circular.self = circular;
  const { url } = await started(t, {
    error: () => { throw new Error("/etc/secret"); },
    rejected: async () => { await sleep(1); null.x; },
    nothing: () => { throw null; },
    bare: () => { throw Object.create(null); },
    circular: () => circular,
    bigint: () => 1n,
    function: () => () => 1,
    content: () => new Content("no blocks"),
  });
  const peer = client(t, url);
  for (const tool of ["error", "rejected", "nothing", "bare", "circular", "bigint", "function"]) {
    await assert.rejects(peer.call(tool), failsWith("MCP_INTERNAL_ERROR", /^the tool failed: see the log of the server$/), tool);
  }
  await assert.rejects(peer.call("content"), failsWith("MCP_INTERNAL_ERROR", /invalid result|cannot/));
});

test("a schema of zod", async (t) => {
  const zod = peerModule("zod");
  if (zod === null) return t.skip(console.log("NOT RUN: zod: npm's registry cannot be reached"));
  const schema = zod.object({ name: zod.string().transform((name) => name.toUpperCase()), times: zod.number().default(2) });
  const refined = zod.object({ even: zod.number().refine((number) => number % 2 === 0, "must be even") });
  const { url } = await started(t, {
    greet: [{ schema }, ({ name, times }) => name.repeat(times)],
    refined: [{ schema: refined }, ({ even }) => even],
  });
  const peer = client(t, url);
  assert.equal(await peer.call("greet", { name: "a" }), "AA");
  const [tool] = await peer.listTools();
  assert.deepEqual(tool.inputSchema.required, ["name"]);
  await assert.rejects(peer.call("greet", {}), failsWith("MCP_INVALID_PARAMS", /name/));
  await assert.rejects(peer.call("refined", { even: 3 }), failsWith("MCP_INVALID_PARAMS", /^invalid arguments: even: must be even$/));
});

test("progress, and the call of the current function", async (t) => {
  const { url } = await started(t, {
    steps: async (_, call) => {
      for (let step = 1; step <= 3; step++) {
        await sleep(1);
        currentCall().progress(step, 3, "step");
      }
      assert.equal(currentCall(), call);
      assert.throws(() => call.progress(1), failsWith("MCP_EINVAL", /invalid/));
      return 3;
    },
    later: (_, call) => {
      setTimeout(() => log("INFO", "after the end"), 1);
      return call.traceId;
    },
  });
  const reports = [];
  const onProgress = (...report) => reports.push(report);
  assert.equal(await client(t, url).call("steps", {}, { onProgress }), 3);
  assert.deepEqual(reports.at(-1), [3, 3, "step"]);
  assert.equal(currentCall(), undefined);
  assert.equal(await call(url, "later", {}, { traceId: "trace-7" }), "trace-7");
});

test("a call is cancelled by its caller, its deadline and its connection", async (t) => {
  const reasons = [];
  const { url } = await started(t, {
    wait: async (_, call) => {
      try {
        await sleep(2 ** 30, undefined, { signal: call.signal });
      } finally {
        assert.equal(call.signal.reason.code, codes.MCP_ECANCELED);
        reasons.push(call.cancelReason);
      }
    },
    late: async (_, call) => { // asks for the signal when it has aborted already
      await until(() => call.cancelReason !== null, "cancelled");
      reasons.push(call.signal.aborted);
    },
  }, { callTimeout: 50 });
  const peer = client(t, url);
  await assert.rejects(peer.call("wait"), failsWith("MCP_INTERNAL_ERROR", /./));
  await assert.rejects(peer.call("late"), failsWith("MCP_INTERNAL_ERROR", /./));
  await until(() => reasons.length === 2, "both deadlines");
  assert.deepEqual(reasons.splice(0), ["deadline", true]);

  const patient = await started(t, { wait: async (_, call) => {
    running.resolve();
    await sleep(2 ** 30, undefined, { signal: call.signal }).catch(() => reasons.push(call.cancelReason));
  } });
  let running = deferred();
  const controller = new AbortController();
  const aborted = assert.rejects(client(t, patient.url).call("wait", {}, { signal: controller.signal }), /enough/);
  await running.promise;
  controller.abort(new Error("enough"));
  await aborted;
  await until(() => reasons.length === 1, "the handler sees the cancellation");

  running = deferred();
  const leaver = client(t, patient.url);
  const left = assert.rejects(leaver.call("wait"), failsWith("MCP_ECLOSED", /closed/));
  await running.promise;
  await leaver.close();
  await left;
  await until(() => reasons.length === 2, "the handler sees the disconnection");
  assert.deepEqual(reasons, ["requested", "disconnected"]);
});

test("a stop lets calls finish, then cancels them", async (t) => {
  const seen = [];
  const tools = {
    soon: async () => { await go.promise; return "done"; },
    never: async (_, call) => { await sleep(2 ** 30, undefined, { signal: call.signal }).catch(() => seen.push(call.cancelReason)); },
  };
  const go = deferred();
  const first = await started(t, tools);
  const soon = client(t, first.url).call("soon");
  await until(() => iccm(t, "call", first.url, "nothing").catch(() => true), "the call above has arrived");
  const stopped = first.server.stop();
  go.resolve();
  assert.equal(await soon, "done");
  await stopped;
  await first.server.stop(); // does nothing

  const second = await started(t, tools);
  const never = assert.rejects(client(t, second.url).call("never"), failsWith("MCP_INTERNAL_ERROR", /stopping/));
  await until(() => iccm(t, "call", second.url, "nothing").catch(() => true), "the call above has arrived");
  await Promise.all([second.server.stop({ timeout: 0 }), second.server.stop(), never]);
  assert.deepEqual(seen, ["stopping"]);
});

test("the time of a stop begins with the stop, also if the loop was busy before", async (t) => {
  let finished = false;
  for (let i = 0; i < 10 && !finished; i++) { // a slow machine may need more than one attempt
    const arrived = deferred();
    const { server, url } = await started(t, {
      wait: async () => { arrived.resolve(); await sleep(1100); return true; },
    });
    const waited = client(t, url).call("wait").catch(() => false);
    await arrived.promise;
    for (const end = Date.now() + 1000; Date.now() < end; );
    await server.stop({ timeout: 900 });
    finished = await waited;
  }
  assert.ok(finished);
});

test("a server is started again, and its tools change", async (t) => {
  const server = new Server("again").tool("one", {}, () => 1);
  t.after(() => server.stop());
  for (let round = 0; round < 3; round++) {
    await server.start();
    const url = `localhost:${server.port}`;
    assert.equal(await call(url, "one"), 1);
    server.tool("two", {}, () => 2);
    assert.equal(await call(url, "two"), 2);
    server.removeTool("two");
    await assert.rejects(call(url, "two"), failsWith("MCP_METHOD_NOT_FOUND", /two/));
    await server.stop();
  }
});

test("readiness", async (t) => {
  const { server } = await started(t, {});
  const status = async () => (await fetch(`http://127.0.0.1:${server.port}/readyz`)).status;
  assert.equal(await status(), 200);
  server.setDependency("disk", "full");
  assert.equal(await status(), 503);
  server.setDependency("disk");
  assert.equal(await status(), 200);
});

test("a port in use, and invalid definitions", async (t) => {
  const { server, url } = await started(t, { one: () => 1 });
  const second = new Server("second", { port: server.port });
  await assert.rejects(second.start(), failsWith("MCP_EADDRINUSE", /address already in use/));
  assert.throws(() => server.tool("one", {}, () => 2), failsWith("MCP_ETOOL", /tool one/));
  assert.throws(() => server.tool("a b", {}, () => 2), failsWith("MCP_ETOOL", /tool a b/));
  assert.throws(() => server.tool("two", { schema: { type: "array" } }, () => 2), failsWith("MCP_ETOOL", /tool two/));
  assert.throws(() => server.removeTool("two"), failsWith("MCP_ENOENT", /./));
  assert.throws(() => new Server("a", { tls: { cert: "/nonexistent", key: "/nonexistent" } }), failsWith("MCP_EINVAL", /nonexistent/));
  assert.throws(() => new Server("a", { maxConnections: 0 }), failsWith("MCP_EINVAL", /maxConnections/));
  assert.throws(() => new Server(""), /name/);
  assert.equal(await call(url, "one"), 1);
});

test("wrong types are TypeErrors", (t) => {
  const wrong = [
    () => new Server(), () => new Server("a\0b"), () => new Server("a", 1), () => new Server("a", { ports: 1 }),
    () => new Server("a", { port: -1 }), () => new Server("a", { port: 1.5 }), () => new Server("a", { port: "1" }),
    () => new Server("a", { tls: {} }), () => new Server("a", { tls: { cert: "c" } }), () => new Server("a", { allowPublic: 1 }), () => new Server("a", { authToken: 1 }),
    () => new Server("a").tool(), () => new Server("a").tool("b", {}), () => new Server("a").tool("b", { schemas: 1 }, () => 1),
    () => new Server("a").tool("b", { schema: { "~standard": { vendor: "old" } } }, () => 1),
    () => log("info", "text"), () => log("INFO", "text", () => 1),
  ];
  for (const make of wrong) assert.throws(make, TypeError, String(make));
});
