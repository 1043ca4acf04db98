// A server made with the TypeScript SDK, over a WebSocket: the other side for our client.
//
// usage: node ts_server.mjs PORT        (0: a free one; says "listening on port N" on stderr)
//
// It lists its tools on three pages. look_back asks its caller back while it serves the call: a ping of MCP, a request
// that no client of tools knows, a ping of WebSocket; it answers what came of them.
import { once } from "node:events";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import {
  CallToolRequestSchema,
  ListRootsResultSchema,
  ListToolsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { WebSocketServer } from "ws";

const names = ["look_back", "second", "third"];

class SocketTransport {
  constructor(socket) {
    this.socket = socket;
  }

  async start() {
    this.socket.on("message", (data) => this.onmessage(JSON.parse(data)));
    this.socket.on("close", () => this.onclose());
  }

  async send(message) {
    this.socket.send(JSON.stringify(message));
  }

  async close() {
    this.socket.close();
  }
}

function listTools({ params }) {
  const page = Number(params?.cursor ?? 0);
  const tools = [{ name: names[page], inputSchema: { type: "object" } }];
  return page + 1 < names.length ? { tools, nextCursor: String(page + 1) } : { tools };
}

async function lookBack(server, socket) {
  const ping = await server.ping();
  const unknown = await server.request({ method: "roots/list" }, ListRootsResultSchema).catch((error) => error.code);
  socket.ping("there?");
  const [pong] = await once(socket, "pong");
  return { content: [{ type: "text", text: JSON.stringify({ ping, unknown, pong: String(pong) }) }] };
}

const sockets = new WebSocketServer({ port: Number(process.argv[2]), perMessageDeflate: false });
sockets.on("listening", () => console.error(`listening on port ${sockets.address().port}`));
sockets.on("connection", async (socket) => {
  const server = new Server({ name: "ts-server", version: "1.0.0" }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, listTools);
  server.setRequestHandler(CallToolRequestSchema, () => lookBack(server, socket));
  await server.connect(new SocketTransport(socket));
});
process.on("SIGTERM", () => process.exit(0));
