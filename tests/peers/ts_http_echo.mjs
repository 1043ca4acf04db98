// The benchmark's other side over HTTP: an echo tool on version 2 of the TypeScript SDK, with responses in JSON. The
// SDK makes a server for each request of revision 2026-07-28.
//
// usage: node ts_http_echo.mjs PORT        (0: a free one; says "listening on port N" on stderr)
import { createServer } from "node:http";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, Server } from "@modelcontextprotocol/server";

const tool = { name: "echo", description: "Answers its arguments", inputSchema: { type: "object" } };

function makeServer() {
  const server = new Server({ name: "ts-http-echo", version: "1.0.0" }, { capabilities: { tools: {} } });
  server.setRequestHandler("tools/list", () => ({ tools: [tool] }));
  server.setRequestHandler("tools/call", ({ params }) => ({
    content: [{ type: "text", text: JSON.stringify(params.arguments) }],
  }));
  return server;
}

const server = createServer(toNodeHandler(createMcpHandler(makeServer, { responseMode: "json" })));
server.keepAliveTimeout = 60000;
server.listen(Number(process.argv[2]), () => console.error(`listening on port ${server.address().port}`));
