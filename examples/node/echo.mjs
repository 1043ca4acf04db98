#!/usr/bin/env node
// echo.mjs: a server with one tool, echo, which returns its arguments. The argument is the port; 0 picks a free one, which the
// log shows.
import { Server } from "iccm-network";

const server = new Server("echo", { version: "0.1.0", port: Number(process.argv[2] ?? 9000) });
server.tool("echo", { description: "Answers its arguments" }, (args) => args);
await server.run();
