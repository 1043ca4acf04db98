// A server made with the TypeScript SDK, version 1 or 2, over Streamable HTTP at any path, or over stdio: the other side
// for our client.
//
// usage: node ts_http_server.mjs SDK PORT [json]        (port 0: a free one; says "listening on port N" on stderr)
//        node ts_http_server.mjs SDK stdio
//
// SDK is v1 or v2. v1 knows only legacy clients, v2 both eras; legacy clients get sessions. Responses are event streams
// in the legacy era, and in the modern one where progress precedes them; with "json" all are JSON, without progress.
// The tools are those of everything.c that ts_interop.mjs calls. Says "cancelled" on stderr for each cancelled call.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Server as ServerV1 } from "@modelcontextprotocol/sdk/server/index.js";
import { StdioServerTransport as StdioV1 } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport as HttpV1 } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { CallToolRequestSchema, ListToolsRequestSchema, McpError } from "@modelcontextprotocol/sdk/types.js";
import { NodeStreamableHTTPServerTransport as HttpV2, toNodeHandler, toWebRequest } from "@modelcontextprotocol/node";
import { createMcpHandler, isLegacyRequest, ProtocolError, Server as ServerV2 } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";

const [sdk, port, json] = process.argv.slice(2);
const INVALID_PARAMS = -32602;

const text = (words) => ({ content: [{ type: "text", text: words }] });
const failure = (words) => ({ ...text(words), isError: true });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const string = { type: "string" };

// Each handler gets the arguments and {progress, signal}.
const tools = {
  test_simple_text: { call: () => text("This is a simple text response for testing.") },
  test_multiple_content_types: {
    call: () => ({
      content: [
        ...text("Multiple content types test:").content,
        { type: "image", data: "AAAA", mimeType: "image/png" },
        { type: "resource", resource: { uri: "test://mixed", mimeType: "application/json", text: "{}" } },
      ],
    }),
  },
  test_error_handling: { call: () => failure("This tool intentionally returns an error for testing") },
  test_x_mcp_header: {
    inputSchema: {
      type: "object",
      properties: { region: { ...string, "x-mcp-header": "Region" }, query: string },
    },
    outputSchema: { type: "object", properties: { region: string }, required: ["region"] },
    call: ({ region, query = "" }) =>
      typeof query === "string"
        ? { ...text(JSON.stringify({ region })), structuredContent: { region } }
        : failure("query is not a string"),
  },
  test_tool_with_progress: {
    async call(_, { progress }) {
      for (const step of [0, 50, 100]) await progress(step, 100);
      return text("done in three steps");
    },
  },
  test_until_cancelled: {
    async call(_, { progress, signal }) {
      for (let step = 1; !signal.aborted; step++) {
        await progress(step);
        await pause(10);
      }
      console.error("cancelled");
      return text("nobody reads this");
    },
  },
  test_trigger_tool_change: {
    call() {
      announceChange();
      return text("the list of tools has changed");
    },
  },
};

const list = () => ({
  tools: Object.entries(tools).map(([name, { call, ...rest }]) => ({ name, inputSchema: { type: "object" }, ...rest })),
});

function callTool({ name, arguments: args = {} }, { meta, notify, signal }, unknown) {
  const progressToken = meta?.progressToken;
  const progress = async (step, total) => {
    if (progressToken === undefined || signal.aborted) return;
    await notify({ method: "notifications/progress", params: { progressToken, progress: step, total } });
  };
  if (!Object.hasOwn(tools, name)) throw unknown(`unknown tool: ${name}`);
  return tools[name].call(args, { progress, signal });
}

const capabilities = { tools: { listChanged: true } };

function makeV1() {
  const server = new ServerV1({ name: "ts-http-server", version: "1.0.0" }, { capabilities });
  server.setRequestHandler(ListToolsRequestSchema, list);
  server.setRequestHandler(CallToolRequestSchema, ({ params }, { _meta: meta, sendNotification: notify, signal }) =>
    callTool(params, { meta, notify, signal }, (words) => new McpError(INVALID_PARAMS, words)),
  );
  return server;
}

function makeV2() {
  const server = new ServerV2({ name: "ts-http-server", version: "2.0.0" }, { capabilities });
  server.setRequestHandler("tools/list", list);
  server.setRequestHandler("tools/call", ({ params }, { mcpReq: { _meta: meta, notify, signal } }) =>
    callTool(params, { meta, notify, signal }, (words) => new ProtocolError(INVALID_PARAMS, words)),
  );
  return server;
}

const sessions = new Map();

function announceChange() {
  for (const { server } of sessions.values()) server.sendToolListChanged();
  modern?.notify.toolsChanged();
}

// A request of a session, or the initialize that begins one.
async function serveLegacy(request, response, body) {
  const id = request.headers["mcp-session-id"];
  if (id !== undefined && !sessions.has(id)) return void response.writeHead(404).end();
  if (id !== undefined) return sessions.get(id).transport.handleRequest(request, response, body);
  const Transport = sdk === "v1" ? HttpV1 : HttpV2;
  const server = sdk === "v1" ? makeV1() : makeV2();
  const transport = new Transport({
    sessionIdGenerator: randomUUID,
    enableJsonResponse: json === "json",
    onsessioninitialized: (session) => void sessions.set(session, { server, transport }),
    onsessionclosed: (session) => void sessions.delete(session),
  });
  await server.connect(transport);
  await transport.handleRequest(request, response, body);
}

const modern = sdk === "v2" ? createMcpHandler(makeV2, { legacy: "reject", responseMode: json ?? "auto" }) : undefined;
const serveModern = modern && toNodeHandler(modern);

async function bodyOf(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return pieces.length > 0 ? JSON.parse(Buffer.concat(pieces)) : undefined;
}

function serveHttp() {
  const http = createServer(async (request, response) => {
    const body = await bodyOf(request);
    if (modern && !(await isLegacyRequest(await toWebRequest(request, body), body)))
      return serveModern(request, response, body);
    return serveLegacy(request, response, body);
  });
  http.listen(Number(port), "127.0.0.1", () => console.error(`listening on port ${http.address().port}`));
  process.on("SIGTERM", () => process.exit(0));
}

if (port !== "stdio") serveHttp();
else if (sdk === "v1") await makeV1().connect(new StdioV1());
else serveStdio(makeV2);
