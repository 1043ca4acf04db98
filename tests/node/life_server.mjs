// life_server.mjs: a server under run(), whose tools end the process, wait, or start another process.
import { fork } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, Server, call } from "iccm-network";

if (process.argv[2] === "child") { // of fork()
  const server = new Server("child").tool("echo", {}, (args) => args);
  await server.start();
  process.send(`localhost:${server.port}`);
  process.on("message", () => server.stop().then(() => process.disconnect()));
} else {
  const server = new Server("life", { shutdownTimeout: 600_000 });
  server.tool("echo", {}, (args) => args);
  server.tool("exit", {}, () => process.exit(7));
  server.tool("wait", {}, async ({ ms }) => { console.log("arrived"); await sleep(ms); return "waited"; });
  server.tool("fork", {}, async (args) => {
    const child = fork(process.argv[1], ["child"]);
    const url = await new Promise((resolve) => child.once("message", resolve));
    const answer = await call(url, "echo", args);
    child.send("stop");
    return [answer, await new Promise((resolve) => child.once("exit", resolve))];
  });
  server.tool("throw", {}, () => { setImmediate(() => { throw new Error("uncaught"); }); });
  server.tool("lost", {}, () => { // a client that nobody closes is closed when the process ends or by the collector
    for (let i = 0; i < 20; i++) new Client("localhost:1");
    return process.memoryUsage.rss() > 0;
  });
  await server.run();
  console.log("run() has returned");
}
