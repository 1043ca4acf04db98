// A component whose tool calls the next component of a ring. usage: ring.mjs NAME PORT URL
import { Client, Server } from "iccm-network";

const [name, port, url] = process.argv.slice(2);
const following = new Client(url);
const server = new Server(name, { port: Number(port) });
server.tool("work", {}, async (args, call) => {
  call.log("INFO", `passes on ${args.subject}`);
  return following.call("work", args);
});
await server.run();
await following.close();
