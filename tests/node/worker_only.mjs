// worker_only.mjs: the main thread does not load the addon, and a worker that has served is terminated.
import { Worker } from "node:worker_threads";

const worker = new Worker(new URL("worker.mjs", import.meta.url));
await new Promise((resolve) => worker.once("message", resolve));
await worker.terminate();
await new Promise((resolve) => setTimeout(resolve, 200)); // the log's thread has ended, or runs code that is still loaded
console.log("terminated");
