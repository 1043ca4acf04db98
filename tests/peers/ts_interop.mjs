// A client of the TypeScript SDK, version 1 or 2, plays the same steps over any transport, and says what it saw.
//
// usage: node ts_interop.mjs SDK TRANSPORT ERA TARGET...
//
// SDK is v1 or v2. TRANSPORT is http (TARGET: a URL), websocket (a URL) or stdio (a command and its arguments). ERA is
// legacy, auto or modern; v1 knows only legacy. The server has the tools of everything.c or of ts_http_server.mjs. Over
// http the client sends the token in the environment variable TOKEN, if it is set.
//
// Prints one line of JSON. Any error that is not a step: its text on stderr and exit status 1.
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as StdioV1 } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport as HttpV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { WebSocketClientTransport as WebSocketV1 } from "@modelcontextprotocol/sdk/client/websocket.js";
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from "@modelcontextprotocol/client";
import { StdioClientTransport as StdioV2 } from "@modelcontextprotocol/client/stdio";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket; // Node 18 and 20 have none of their own

const MODERN = "2026-07-28";
const [sdk, transport, era, ...target] = process.argv.slice(2);

// The SDK has no WebSocket transport from version 2 on.
class WebSocketV2 {
  constructor(url) {
    this.url = url;
  }

  async start() {
    this.socket = new WebSocket(this.url, "mcp");
    this.socket.on("message", (data) => this.onmessage?.(JSON.parse(data)));
    this.socket.on("close", () => this.onclose?.());
    await new Promise((resolve, reject) => this.socket.on("open", resolve).on("error", reject));
  }

  async send(message) {
    this.socket.send(JSON.stringify(message));
  }

  async close() {
    this.socket.close();
  }
}

const transports = {
  v1: { http: HttpV1, websocket: WebSocketV1, stdio: StdioV1 },
  v2: { http: HttpV2, websocket: WebSocketV2, stdio: StdioV2 },
};

function open() {
  const Transport = transports[sdk][transport];
  if (transport === "stdio") return new Transport({ command: target[0], args: target.slice(1), env: process.env });
  const { TOKEN } = process.env;
  const headers = TOKEN ? { Authorization: `Bearer ${TOKEN}` } : {};
  return new Transport(new URL(target[0]), { requestInit: { headers } });
}

let changes = 0;
let onChange = () => {};
const options = {
  capabilities: {},
  listChanged: {
    tools: {
      autoRefresh: false,
      debounceMs: 0,
      onChanged: () => {
        changes++;
        onChange();
      },
    },
  },
};
const modes = { legacy: "legacy", auto: "auto", modern: { pin: MODERN } };
const client =
  sdk === "v1"
    ? new ClientV1({ name: "ts-interop", version: "1.0.0" }, options)
    : new ClientV2({ name: "ts-interop", version: "2.0.0" }, { ...options, versionNegotiation: { mode: modes[era] } });
const errors = [];
client.onerror = (error) => errors.push(String(error));

function call(name, args = {}, request = {}) {
  const params = { name, arguments: args };
  return sdk === "v1" ? client.callTool(params, undefined, request) : client.callTool(params, request);
}

const code = (promise) => promise.then(() => null, (error) => error.code);
const failed = (promise) => promise.then(() => false, () => true);

async function withProgress() {
  const progress = [];
  const { content } = await call("test_tool_with_progress", {}, { onprogress: (each) => progress.push(each.progress) });
  return { progress, text: content[0].text };
}

// The tool never ends by itself: its caller gives up after the first progress.
async function givenUp() {
  const patience = new AbortController();
  const request = { signal: patience.signal, onprogress: () => patience.abort("enough") };
  return { failed: await failed(call("test_until_cancelled", {}, request)), aborted: patience.signal.aborted };
}

// A legacy client opens its stream after connect(), and what changes before that is not said: so it is changed again.
async function change() {
  while (changes === 0) {
    const heard = new Promise((resolve) => (onChange = resolve));
    await call("test_trigger_tool_change");
    await Promise.race([heard, new Promise((resolve) => setTimeout(resolve, 500))]);
  }
  return true;
}

const connection = open();
await client.connect(connection);
const { tools } = await client.listTools();
const seen = {
  server: client.getServerVersion(),
  era: sdk === "v1" ? "legacy" : client.getProtocolEra(),
  version: sdk === "v1" ? (connection.protocolVersion ?? null) : client.getNegotiatedProtocolVersion(),
  tools: tools.map((each) => each.name),
};
if (seen.era === "legacy") seen.ping = await client.ping();
seen.text = (await call("test_simple_text")).content;
seen.types = (await call("test_multiple_content_types")).content.map((each) => each.type);
seen.region = (await call("test_x_mcp_header", { region: "Übersee, 東", query: "q" })).structuredContent;
seen.refused = await call("test_error_handling");
seen.unknown = await code(call("no_such_tool"));
seen.misfit = (await call("test_x_mcp_header", { region: "x", query: 5 })).isError;
seen.progress = await withProgress();
seen.many = (await Promise.all([...Array(20)].map(() => call("test_simple_text")))).length;
seen.givenUp = await givenUp();
seen.changed = await change();
if (seen.era === "legacy" && transport === "http") {
  seen.session = connection.sessionId !== undefined;
  await connection.terminateSession();
}
await client.close();
console.log(JSON.stringify({ ...seen, errors }));
process.exit(0);
