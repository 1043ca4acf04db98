// iccm-network for ES modules. index.d.ts is the reference.
import iccm from "./index.js";

export const {
  Server, Client, call, currentCall, Content, McpError, codes, log, logEnabled, env, version, memoryBlocks,
} = iccm;
