// The components of examples/node, and the one of README.md.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { BUILD, client, has, iccm, serve, until } from "./helper.mjs";

const example = (t, name, args, env) => serve(t, process.execPath, [`${BUILD}/examples/node/${name}`, ...args], { env: { ...process.env, ...env } });

test("component", async (t) => {
  const { url } = await example(t, "component.mjs", ["0"]);
  const peer = client(t, url);
  assert.ok(await peer.call("disk") > 0);
  assert.deepEqual(await Promise.all([peer.call("meet"), peer.call("meet")]), ["met", "met"]);
  const reports = [];
  assert.equal(await peer.call("count", { to: 20 }, { onProgress: (done) => reports.push(done) }), 20);
  assert.equal(reports.at(-1), 20);
  await assert.rejects(peer.call("meet", {}, { signal: AbortSignal.timeout(50) }), { name: "TimeoutError" });
  await until(async () => (await Promise.allSettled([peer.call("meet"), peer.call("meet")])).every(({ value }) => value === "met"), "they meet again");
  await assert.rejects(peer.call("relay", { url: "127.0.0.1:1", tool: "a" }, { timeout: 500 }), { name: /MCP_E?T/ });
});

test("diagram", async (t) => {
  if (!has("dot")) return t.skip(console.log("NOT RUN: diagram: there is no dot of Graphviz"));
  const storage = await mkdtemp(join(tmpdir(), "iccm-diagram-"));
  t.after(() => rm(storage, { recursive: true }));
  const files = join(storage, "files");
  const horace = await serve(t, `${BUILD}/examples/horace/horace`, [], { env: { ...process.env, HORACE_MCP_PORT: "0", HORACE_STORAGE_PATH: storage } });
  const { url, child, ended } = await example(t, "diagram.mjs", [], { DIAGRAM_PORT: "0", DIAGRAM_SECONDS: "1", HORACE_URL: horace.url, HORACE_FILES: files });
  const peer = client(t, url);
  const draw = (name, dot, more) => peer.call("draw_diagram", { name, dot, ...more });

  const drawn = await draw("flow", "digraph { a -> b }", { purpose: null });
  assert.match(await readFile(join(files, drawn.file_path), "utf8"), /<svg/);
  const found = JSON.parse(await iccm(t, "--json", "call", horace.url, "horace_get_file_info", `file_id=${drawn.file_id}`));
  assert.match(JSON.stringify(found), /diagrams\/flow\.svg/);
  assert.match((await draw("picture", "graph { a }", { format: "png" })).file_path, /picture\.png$/);

  await assert.rejects(draw("flow", "graph { a }"), { name: "MCP_TOOL_ERROR", message: /flow\.svg is taken/ });
  await assert.rejects(draw("bad", "digraph {"), { name: "MCP_TOOL_ERROR", message: /dot rejected/ });
  await assert.rejects(draw("../up", "graph { a }"), { name: "MCP_INVALID_PARAMS" });
  const huge = `graph { ${Array.from({ length: 9000 }, (_, i) => `${i} -- ${(i * 7919) % 9000}`).join(";")} }`;
  await assert.rejects(draw("huge", huge), { name: "MCP_TOOL_ERROR", message: /longer than 1 s/ });
  const secret = await draw("secret", 'graph { a [image="/etc/hostname.png", shape=none] }'); // no file is read
  assert.ok(secret.size > 0);
  await peer.close();
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
});

test("the component of README.md", async (t) => {
  for (const page of ["README.md", "iccm_network/bindings/node/README.md"]) {
    const [, text] = (await readFile(join(process.env.TEST_SOURCE, page), "utf8")).match(/^```js\n(.*?)^```$/ms);
    assert.ok(text.includes("port: 9000"), page);
    const script = join(BUILD, "tests/node", `greeter-${page.length}.mjs`); // below the node_modules of the build
    await writeFile(script, text.replace("port: 9000", "port: 0"));
    const { url } = await serve(t, process.execPath, [script]);
    const peer = client(t, url);
    assert.deepEqual(await peer.call("greet", { name: "Ada" }), { greeting: "hello", to: "Ada" });
    await assert.rejects(peer.call("greet"), { name: "MCP_INVALID_PARAMS" });
  }
});
