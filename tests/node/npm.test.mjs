// The npm tarball, installed into an empty directory, serves and calls from ES modules and from CommonJS.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { has, run } from "./helper.mjs";

const USE = `
const server = new Server("packed").tool("echo", {}, (args) => args);
server.start().then(async () => {
  console.log(JSON.stringify(await call("localhost:" + server.port, "echo", { version })));
  await server.stop();
});`;

async function finished(t, command, args, options) {
  const program = run(t, command, args, options);
  const [code] = await program.ended;
  assert.equal(code, 0, program.output());
  return program.output();
}

test("the tarball", async (t) => {
  if (!has("npm")) return t.skip(console.log("NOT RUN: npm: there is no npm"));
  const cwd = await mkdtemp(join(tmpdir(), "iccm-npm-"));
  t.after(() => rm(cwd, { recursive: true }));
  const env = { ...process.env, LD_LIBRARY_PATH: "", HOME: cwd };
  await finished(t, "npm", ["install", "--offline", "--no-audit", "--no-fund", process.env.TEST_TARBALL], { cwd, env: { ...env, LD_PRELOAD: "" } });
  await writeFile(join(cwd, "use.mjs"), `import { Server, call, version } from "iccm-network";${USE}`);
  await writeFile(join(cwd, "use.cjs"), `const { Server, call, version } = require("iccm-network");${USE}`);
  const { version } = JSON.parse(await readFile(join(cwd, "node_modules/iccm-network/package.json")));
  for (const script of ["use.mjs", "use.cjs"]) {
    assert.match(await finished(t, process.execPath, [script], { cwd, env }), new RegExp(`^{"version":"${version}"}$`, "m"));
  }
  const needs = await finished(t, "ldd", [join(cwd, "node_modules/iccm-network/iccm_network.node")], { env: { ...env, LD_PRELOAD: "" } });
  assert.doesNotMatch(needs, /libuv|libssl|libllhttp|libiccm/); // those of Node, and the library itself
});
