// The ends of a process, of a worker thread and of a server, with calls in flight.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { Worker } from "node:worker_threads";
import { Client, call, codes, memoryBlocks } from "iccm-network";
import { HERE, cServer, client, script, serverScript, until } from "./helper.mjs";

const next = (worker) => new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));

async function worker(t, workerData) {
  const made = new Worker(join(HERE, "worker.mjs"), { workerData });
  t.after(() => made.terminate());
  return { worker: made, url: `localhost:${await next(made)}` };
}

test("SIGTERM lets calls in flight finish", async (t) => {
  const server = await serverScript(t, "life_server.mjs");
  const peer = client(t, server.url);
  const waited = peer.call("wait", { ms: 300 });
  await until(() => server.output().includes("arrived"), "the call arrives");
  server.child.kill("SIGTERM");
  assert.equal(await waited, "waited");
  await peer.close();
  assert.deepEqual(await server.ended, [0, null]);
  assert.match(server.output(), /run\(\) has returned/);
});

test("a second signal ends the process at once", async (t) => {
  const server = await serverScript(t, "life_server.mjs");
  const lost = assert.rejects(client(t, server.url).call("wait", { ms: 2 ** 30 }), { name: "MCP_EDISCONNECTED" });
  await until(() => server.output().includes("arrived"), "the call arrives");
  server.child.kill("SIGINT");
  await until(() => server.output().includes("Server stopping"), "it stops");
  server.child.kill("SIGTERM");
  assert.deepEqual(await server.ended, [128 + 15, null]);
  await lost;
});

test("SIGHUP reads the tokens again", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "iccm-test-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const ICCM_TOKENS = join(directory, "tokens");
  writeFileSync(ICCM_TOKENS, "");
  const server = await serverScript(t, "life_server.mjs", [], { env: { ...process.env, ICCM_TOKENS } });
  writeFileSync(ICCM_TOKENS, `ada read never sha256:${"0".repeat(64)}\n`);
  server.child.kill("SIGHUP");
  await until(() => server.output().includes("tokens reloaded: 1"), "it reads them");
  server.child.kill("SIGTERM");
  assert.deepEqual(await server.ended, [0, null]);
});

test("SIGHUP is left alone without a file to read again", async (t) => {
  const server = await serverScript(t, "life_server.mjs");
  server.child.kill("SIGHUP");
  assert.deepEqual(await server.ended, [null, "SIGHUP"]);
});

test("process.exit in a handler", async (t) => {
  const server = await serverScript(t, "life_server.mjs");
  await assert.rejects(call(server.url, "exit"), { name: "MCP_EDISCONNECTED" });
  assert.deepEqual(await server.ended, [7, null]);
});

test("an uncaught exception ends the process as it does in Node", async (t) => {
  const server = await serverScript(t, "life_server.mjs");
  await call(server.url, "throw").catch(() => {});
  assert.deepEqual(await server.ended, [1, null]);
  assert.match(server.output(), /Error: uncaught/);
});

test("child_process.fork in a handler", async (t) => {
  const server = await serverScript(t, "life_server.mjs");
  assert.deepEqual(await call(server.url, "fork", { a: 1 }), [{ a: 1 }, 0]);
});

test("a worker is terminated with calls in flight on both sides", async (t) => {
  const { url: slow } = await cServer(t, "tests/system/slow_server");
  for (const tool of ["wait", "spin"]) {
    const { worker: thread, url } = await worker(t, { url: slow });
    assert.deepEqual(await call(url, "echo", { a: 1 }), { a: 1 });
    const lost = assert.rejects(client(t, url).call(tool), (error) =>
      [codes.MCP_INTERNAL_ERROR, codes.MCP_EDISCONNECTED].includes(error.code) || assert.fail(error));
    assert.equal(await next(thread), "arrived");
    assert.equal(await thread.terminate(), 1);
    await lost;
    await assert.rejects(call(url, "echo", {}, { timeout: 1000 }), /connect/);
  }
});

test("process.exit in a worker ends the worker alone", async (t) => {
  const { worker: thread, url } = await worker(t);
  const exited = new Promise((resolve) => thread.once("exit", resolve));
  await call(url, "exit").catch(() => {});
  assert.equal(await exited, 7);
});

test("workers leave no memory behind", async (t) => {
  const blocks = [];
  for (let round = 0; round < 4; round++) {
    const { worker: thread, url } = await worker(t);
    await call(url, "echo");
    await thread.terminate();
    blocks.push(memoryBlocks());
  }
  assert.equal(blocks[3], blocks[1], `${blocks}`);
});

test("a process that only a worker uses the package in", async (t) => {
  const only = script(t, "worker_only.mjs");
  assert.deepEqual(await only.ended, [0, null], only.output());
  assert.match(only.output(), /terminated/);
});

test("a worker is terminated while a name is being resolved", async (t) => {
  const LD_PRELOAD = `${process.env.LD_PRELOAD ?? ""} ${process.env.TEST_SLOW_LOOKUP}`;
  for (const who of ["client", "log"]) {
    const program = script(t, "worker_lookup.mjs", [who], { env: { ...process.env, LD_PRELOAD } });
    assert.deepEqual(await program.ended, [0, null], program.output());
    assert.match(program.output(), /terminated/);
  }
});

test("a client that is not closed keeps the process running, and does not survive it", async (t) => {
  const program = await serverScript(t, "life_server.mjs");
  assert.equal(await call(program.url, "lost"), true);
  const kept = new Client(program.url).connect();
  assert.deepEqual(await kept.call("echo", {}), {});
  await kept.close();
});
