// worker.mjs: in a worker thread, a server whose handlers wait, a client with a call in flight, and a kept connection.
// It posts the port, and then once for each call that has arrived.
import { parentPort, workerData } from "node:worker_threads";
import { Client, Server } from "iccm-network";

const server = new Server("worker");
server.tool("wait", {}, () => { parentPort.postMessage("arrived"); return new Promise(() => {}); });
server.tool("spin", {}, () => { parentPort.postMessage("arrived"); for (;;); });
server.tool("exit", {}, () => process.exit(7));
server.tool("echo", {}, (args) => args);
await server.start();
const unstarted = new Server("unstarted").tool("echo", {}, (args) => args);
const unused = new Client("localhost:1");
if (workerData?.url) {
  const client = new Client(workerData.url).connect();
  client.call("later", { ms: 2 ** 30 }).catch(() => {});
  await client.call("later", { ms: 0 });
}
parentPort.postMessage(server.port);
globalThis.kept = [unstarted, unused];
