// Shared code of the tests of the Node package: programs of the build, servers of a test, waiting.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, Server } from "iccm-network";

export const BUILD = process.env.TEST_BUILD;
export const HERE = dirname(fileURLToPath(import.meta.url));
export const WAIT_MS = 60_000 * Number(process.env.TEST_TIMEOUT_MULTIPLIER ?? 1);

/** Polls until condition() is true; returns its value. */
export async function until(condition, what) {
  for (const deadline = Date.now() + WAIT_MS; ; await sleep(5)) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not within ${WAIT_MS} ms: ${what}`);
  }
}

export const has = (command) => spawnSync(command, ["--version"]).error === undefined;

/** A module of tests/peers, or null if npm's registry is not available. */
export function peerModule(name) {
  const program = "import services; print(services.npm_peers())"; // of tests/lib
  const { status, stdout } = spawnSync("/usr/bin/python3", ["-c", program], { encoding: "utf8", env: { ...process.env, LD_PRELOAD: "" } });
  return status === 0 ? createRequire(`${stdout.trim()}/`)(name) : null;
}

/** A program that is killed at the end of the test, or with it: output() is what it has written, ended its [code, signal]. */
export function run(t, command, args, options = {}) {
  const child = spawn("setpriv", ["--pdeathsig", "KILL", command, ...args], { stdio: ["ignore", "pipe", "pipe"], ...options });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (piece) => (output += piece));
  const ended = once(child, "close");
  t.after(() => child.exitCode ?? child.signalCode ?? child.kill("SIGKILL"));
  return { child, ended, output: () => output };
}

/** The same with a server: waits until it listens; url is its address. */
export async function serve(t, command, args, options) {
  const program = run(t, command, args, options);
  const port = await until(() => {
    const [, found] = program.output().match(/listening on port (\d+)/) ?? [];
    if (!found && program.child.exitCode !== null) throw new Error(`ended: ${program.output()}`);
    return found;
  }, `${command} listens`);
  return { ...program, url: `ws://127.0.0.1:${port}` };
}

export const cServer = (t, name) => serve(t, join(BUILD, name), ["0"]);

/** A script of this directory. */
export const script = (t, name, args = [], options = {}) => run(t, process.execPath, [join(HERE, name), ...args], options);
export const serverScript = (t, name, args = [], options = {}) => serve(t, process.execPath, [join(HERE, name), ...args], options);

/** A server of this process with these tools: { name: handler } or { name: [options, handler] }. */
export async function started(t, tools, { name = "test", ...options } = {}) {
  const server = new Server(name, options);
  for (const [key, tool] of Object.entries(tools)) server.tool(key, ...(Array.isArray(tool) ? tool : [{}, tool]));
  await server.start();
  t.after(() => server.stop({ timeout: 0 }));
  return { server, url: `ws://127.0.0.1:${server.port}` };
}

export function client(t, url, options) {
  const made = new Client(url, options);
  t.after(() => made.close());
  return made;
}

/** iccm of the build; returns what it prints. */
export async function iccm(t, ...args) {
  const program = run(t, join(BUILD, "iccm_network/cli/iccm"), args);
  const [code] = await program.ended;
  if (code !== 0) throw new Error(`iccm ${args.join(" ")} ended with ${code}: ${program.output()}`);
  return program.output();
}

/** A promise and its functions. */
export function deferred() {
  let resolve, reject;
  const promise = new Promise((...functions) => ([resolve, reject] = functions));
  return { promise, resolve, reject };
}
