// worker_lookup.mjs client|log: a worker is terminated while a name is being looked up for it, by its client on a thread of
// libuv's pool, or by the log of its server on a thread of the library. The main thread does not load the addon.
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url), { workerData: process.argv[2] });
  await new Promise((resolve) => worker.once("message", resolve));
  await worker.terminate();
  if (process.argv[2] === "log") { // longer than the lookup: its thread must find its code still loaded
    await new Promise((resolve) => setTimeout(resolve, 3000));
  }
  console.log("terminated");
} else {
  const { Client, Server } = await import("iccm-network");
  if (workerData === "log") await new Server("worker", { logUrl: "slow.invalid:80" }).start();
  else new Client("slow.invalid:80").call("echo").catch(() => {});
  setTimeout(() => parentPort.postMessage("looking up"), 100);
}
