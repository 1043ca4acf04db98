#!/usr/bin/env node
// diagram.mjs: a server that draws a diagram with Graphviz' dot and registers it in Horace.
//
// Happy path: draw_diagram runs dot, writes its output to diagrams/NAME.FORMAT below HORACE_FILES, Horace's directory of
// files, and calls horace_register_file. The result names the file and its id.
// Failure modes: input that dot rejects, output of more than 16 MiB, a drawing that takes longer than DIAGRAM_SECONDS, and a
// name that is taken are errors of the tool. A file that Horace refuses is removed; it stays if Horace's answer is lost. dot
// reads no other files.
//
// Environment: DIAGRAM_PORT (9050), HORACE_URL (ws://localhost:8070), HORACE_FILES (/mnt/irina_storage/files),
// DIAGRAM_SECONDS (20).
import { spawn } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Client, McpError, Server, env } from "iccm-network";

const MAX_BYTES = 16 * 1024 * 1024; // of a drawing
const MAX_DRAWINGS = 4; // at a time: each is a process

const port = env.int("DIAGRAM_PORT", 9050, { min: 0, max: 65535 });
const seconds = env.int("DIAGRAM_SECONDS", 20, { min: 1, max: 300 });
const directory = join(env.text("HORACE_FILES", "/mnt/irina_storage/files"), "diagrams");
const horace = new Client(env.text("HORACE_URL", "ws://localhost:8070"));

/** The output of a stream; kills the process that writes it if there is too much. */
async function limited(stream, process_) {
  const pieces = [];
  let bytes = 0;
  for await (const piece of stream) {
    bytes += piece.length;
    if (bytes > MAX_BYTES) {
      process_.kill("SIGKILL");
      throw new McpError(`the drawing has more than ${MAX_BYTES} bytes: draw a smaller graph`);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** dot's output. With SERVER_NAME set, dot reads images from GV_FILE_PATH only. */
async function draw(dot, format, signal) {
  const settings = {
    signal, timeout: seconds * 1000, killSignal: "SIGKILL",
    env: { PATH: process.env.PATH, SERVER_NAME: "diagram", GV_FILE_PATH: "/nonexistent" },
  };
  const child = spawn("dot", [`-T${format}`], settings);
  const ended = new Promise((resolve, reject) => child.once("error", reject).once("close", (...status) => resolve(status)));
  child.stdin.on("error", () => {}); // dot has ended early: its status says why
  child.stdin.end(dot);
  const [drawing, complaint, [code, killed]] = await Promise.all([limited(child.stdout, child), text(child.stderr), ended]);
  if (killed !== null) throw new McpError(`dot took longer than ${seconds} s: draw a smaller graph`);
  if (code !== 0) throw new McpError(`dot rejected the graph: ${complaint.split("\n")[0].slice(0, 500)}`);
  return drawing;
}

/** Writes the drawing to a new file and registers that. */
async function store(name, drawing, metadata) {
  await mkdir(directory, { recursive: true });
  const path = join(directory, name);
  try {
    await writeFile(path, drawing, { flag: "wx" });
  } catch (error) {
    throw error.code === "EEXIST" ? new McpError(`the name ${name} is taken: choose another one`) : error;
  }
  try {
    return await horace.call("horace_register_file", { file_path: `diagrams/${name}`, metadata });
  } catch (error) {
    if (error.code <= -32000) await rm(path);
    throw error;
  }
}

const schema = {
  type: "object",
  properties: {
    name: { type: "string", pattern: "^[a-z0-9][a-z0-9_-]{0,63}$", description: "Name of the file, without extension" },
    dot: { type: "string", maxLength: 200000, description: "The graph, in the language of Graphviz" },
    format: { enum: ["svg", "png", "pdf"], description: "svg unless given" },
    owner: { type: "string", maxLength: 200 },
    purpose: { type: "string", maxLength: 2000 },
  },
  required: ["name", "dot"],
};

let drawings = 0;

const server = new Server("diagram", { port });
server.tool("draw_diagram", { description: "Draws a graph and registers the drawing in Horace", schema }, async (args, call) => {
  const { name, dot } = args;
  const format = args.format ?? "svg"; // an argument that is not required may also be null
  const metadata = { owner: args.owner ?? "diagram", purpose: args.purpose ?? "a diagram", tags: ["diagram"] };
  if (drawings === MAX_DRAWINGS) throw new McpError(`${MAX_DRAWINGS} diagrams are being drawn: retry later`);
  drawings++;
  try {
    call.progress(1, 3, "drawing");
    const drawing = await draw(dot, format, call.signal);
    call.progress(2, 3, "registering");
    const { file_id, version } = await store(`${name}.${format}`, drawing, metadata);
    return { file_id, version, file_path: `diagrams/${name}.${format}`, size: drawing.length };
  } finally {
    drawings--;
  }
});

await server.run();
await horace.close();
