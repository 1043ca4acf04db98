/**
 * iccm-network: MCP servers and clients over WebSocket and HTTP, on libiccm_network.
 *
 * Conventions
 * - Times are in milliseconds. Sizes are in bytes.
 * - docs/operations.md describes the environment variables: ICCM_AUTH_TOKEN, GODOT_URL, LOG_LEVEL and others.
 * - A wrong type of an argument or option throws a TypeError. Everything else that fails throws or rejects with an McpError.
 * - Integers of JSON beyond 2^53 lose digits in JavaScript: pass them as strings.
 */

/** A schema of zod 4.2 or newer, or of another library that implements Standard JSON Schema. */
export interface StandardSchema<Output = unknown> {
  readonly "~standard": {
    readonly vendor: string;
    readonly validate: (value: unknown) => unknown;
    readonly jsonSchema: object;
    readonly types?: { readonly input: unknown; readonly output: Output };
  };
}

/** A JSON Schema with "type": "object", or a schema of a library. */
export type Schema<Output = unknown> = StandardSchema<Output> | { readonly type: "object"; readonly [keyword: string]: unknown };

/** The arguments that a handler gets. */
export type Arguments<S> = S extends StandardSchema<infer Output> ? Output : any;

/** The levels of log lines, in rising order. */
export type Level = "TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR";

/**
 * An error of the library, of a peer or of a tool.
 *
 * A handler throws one to fail with a message for its caller: `throw new McpError("no such file")`. The message must not
 * contain paths or SQL. The caller gets its code if that is from -32000 to -32099, and else MCP_TOOL_ERROR. Any other exception
 * of a handler is logged, and the caller gets MCP_INTERNAL_ERROR without its text.
 */
export class McpError extends Error {
  /** code: MCP_TOOL_ERROR unless given; a tool may choose another one from -32000 to -32099. data: JSON for the caller. */
  constructor(message: string, options?: { code?: number; data?: unknown; cause?: unknown });
  /** The name of the code: "MCP_ETIMEOUT". */
  readonly name: string;
  /** A code of `codes`, or another JSON-RPC code of a peer. */
  readonly code: number;
  /** The data of a JSON-RPC error. */
  readonly data?: any;
}

/** The codes of errors by name: `codes.MCP_ETIMEOUT` is -5003. docs/errors.md describes causes and remedies. */
export const codes: Readonly<Record<string, number>>;

/** A result in MCP content blocks (text, image, audio, resource_link, resource). */
export class Content {
  /** structured: the object for structuredContent. isError: the tool failed. */
  constructor(blocks: object[], options?: { structured?: object; isError?: boolean });
}

/** A call that is being served. */
export interface Call {
  /** Identifies the request across all components, or null. */
  readonly traceId: string | null;
  /**
   * Aborts when the caller cancels or disconnects, the deadline of the call passes, or the server stops. The reason is an
   * McpError. Calls by Client are cancelled without it.
   */
  readonly signal: AbortSignal;
  /** Why the call is cancelled; null if it is not. */
  readonly cancelReason: "requested" | "disconnected" | "deadline" | "stopping" | null;
  /** True once the handler has returned or thrown. */
  readonly ended: boolean;
  /**
   * Reports progress if the caller has requested it: at most one report every 50 ms is sent, the newest. progress must rise;
   * total is its final value, 0 if unknown.
   */
  progress(progress: number, total?: number, message?: string): void;
  /** Writes one line about this call to the log, with its trace id. Secrets in data are replaced (see `log`). */
  log(level: Level, message: string, data?: unknown): void;
}

/**
 * Serves a call. It returns the result or a promise of it: a value of JSON, or a `Content`. undefined is null.
 *
 * The arguments match the schema; one that is not required may be null, which means that it is not given. The handler must not
 * block: a computation that takes long belongs in a worker thread.
 */
export type Handler<Args> = (args: Args, call: Call) => unknown;

export interface ToolOptions<S extends Schema = Schema> {
  /** For users and language models. */
  description?: string;
  /** The name shown to users. */
  title?: string;
  /** The schema of the arguments. Default: any object. */
  schema?: S;
  /** The schema of an object that every result must match. */
  outputSchema?: Schema;
  /** readOnlyHint, destructiveHint, idempotentHint, openWorldHint, title. */
  annotations?: object;
  /** Objects with src, mimeType, sizes, theme. */
  icons?: object[];
  /** More properties of the schema, which tools/list does not show. */
  unlistedProperties?: object;
  /** The capabilities that a client must have declared: { sampling: {} }. */
  clientCapabilities?: object;
  /** Rejects unknown arguments, and names the nearest known one. */
  strict?: boolean;
  /** The tool is served, but tools/list does not show it. */
  unlisted?: boolean;
  /** Whether only tokens with the role admin may call the tool (ICCM_TOKENS). */
  admin?: boolean;
  /** The tool receives or returns log lines: its calls are not logged. */
  logTraffic?: boolean;
}

/** The settings of a server; the environment sets the default of most of them. null is "none". */
export interface ServerOptions {
  /** 0, the default, picks a free one: see `server.port`. */
  port?: number;
  /** The version of the component. Default: "1.0.0". */
  version?: string;
  /** ICCM_AUTH_TOKEN: the token that peers must send. */
  authToken?: string | null;
  /** ICCM_TLS_CERT and ICCM_TLS_KEY: PEM files. */
  tls?: { cert: string; key: string } | null;
  /** ICCM_ALLOW_PUBLIC: peers outside of private networks may connect without a token. */
  allowPublic?: boolean;
  /** ICCM_ALLOWED_ORIGINS: web pages that may connect, separated by commas. */
  allowedOrigins?: string | null;
  /** ICCM_ALLOWED_HOSTS: names of the server that web pages may use, separated by commas. */
  allowedHosts?: string | null;
  /** ICCM_REUSEPORT: several servers share the port. */
  reuseport?: boolean;
  /** ICCM_MAX_MESSAGE_BYTES. Default: 16 MiB. */
  maxMessageBytes?: number;
  /** ICCM_MAX_MEMORY_BYTES. Default: 1 GiB. */
  maxMemoryBytes?: number;
  /** ICCM_MAX_CONNECTIONS. Default: 1,024. */
  maxConnections?: number;
  /** ICCM_MAX_CONNECTS_PER_SECOND, of one address. Default: 0, no limit. */
  maxConnectsPerSecond?: number;
  /** ICCM_MAX_MESSAGES_PER_SECOND, of one connection. Default: 0, no limit. */
  maxMessagesPerSecond?: number;
  /** The time that a call may take. Default: 300,000. */
  callTimeout?: number;
  /** How long a stop waits for calls in flight. Default: 3,000. */
  shutdownTimeout?: number;
  /** GODOT_URL: the Godot that receives the log lines. null: lines are written to stderr only. */
  logUrl?: string | null;
}

/** A server, which offers tools. */
export class Server {
  /** name is also the component of the server's log lines. */
  constructor(name: string, options?: ServerOptions);
  /** Adds a tool, before or after the start. */
  tool<S extends Schema>(name: string, options: ToolOptions<S>, handler: Handler<Arguments<S>>): this;
  /** Removes a tool, before or after the start. Its calls in flight end normally. */
  removeTool(name: string): this;
  /** The port in use. */
  readonly port: number;
  /** Listens on all addresses; keeps the process running until the stop. */
  start(): Promise<this>;
  /**
   * Accepts no more connections, lets calls in flight finish within timeout (default: shutdownTimeout), cancels the others,
   * and resolves once everything is closed and the last log lines are sent. Does nothing if the server is not started. It can
   * be started again.
   */
  stop(options?: { timeout?: number }): Promise<void>;
  /**
   * Starts, and resolves when the server has stopped. SIGTERM and SIGINT stop it; a second signal ends the process with
   * status 128 + its number. With a certificate or a file of tokens (ICCM_TOKENS), SIGHUP calls reload(); without them it
   * keeps its meaning. In a worker thread, which gets no signals, stop() ends it.
   */
  run(): Promise<void>;
  /** Reports whether a dependency is available. With a reason it is not, and GET /readyz answers 503. */
  setDependency(name: string, reason?: string | null): void;
  /** Reads the certificate, its key and the file of tokens (ICCM_TOKENS) again. */
  reload(): void;
}

export interface ClientOptions {
  /** ICCM_AUTH_TOKEN: sent to the peer. null sends none. */
  authToken?: string | null;
  /** ICCM_TLS_CA: a PEM file of authorities. null: those of the system. */
  tlsCa?: string | null;
  /** false accepts any certificate. */
  tlsVerify?: boolean;
  /** Calls fail as soon as the peer is known to be unavailable. Default: they wait for it until their deadline. */
  failFast?: boolean;
  /** Default: 16 MiB. */
  maxMessageBytes?: number;
  /** Called with null when the connection is open, and with the failure when it is lost or an attempt to connect failed. */
  onState?: (error: McpError | null) => void;
  /** Called with each notification of the peer. */
  onNotification?: (method: string, params: any) => void;
}

export interface CallOptions {
  /** The time for connecting, handshake and response together. Default: 30,000. */
  timeout?: number;
  /** Cancels the call: the promise rejects with the reason of the signal, and the peer is notified. */
  signal?: AbortSignal;
  /** Called with each report of progress; total is 0 if unknown, message null if there is none. */
  onProgress?: (progress: number, total: number, message: string | null) => void;
  /** Begins a trace: 1 to 128 bytes. Default: that of the call that is being served. */
  traceId?: string;
}

/**
 * A client of one server. It connects with the first call and reconnects by itself. While it is connected it keeps the
 * process running: close it.
 *
 * A call that a handler makes carries the trace of the call being served, and is cancelled with it.
 */
export class Client {
  /** url: ws://host:port/path, wss, http or https, or host:port; up to 8, separated by commas. */
  constructor(url: string, options?: ClientOptions);
  /** Connects now, and stays connected. */
  connect(): this;
  /**
   * Calls a tool. Resolves to its structuredContent; or else to its first text, parsed as JSON; or else to the whole result.
   * Rejects with an McpError: MCP_TOOL_ERROR if the tool failed, another JSON-RPC code of the peer, or a code of the library
   * (MCP_ETIMEOUT, MCP_EDISCONNECTED, MCP_ECONNECT, …).
   */
  call(tool: string, args?: object, options?: CallOptions): Promise<any>;
  /** Sends a request of any method. Resolves to its whole result. */
  request(method: string, params?: object, options?: CallOptions): Promise<any>;
  /** Resolves to the tools of all pages. */
  listTools(options?: Omit<CallOptions, "onProgress">): Promise<any[]>;
  /** Fails the calls in flight with MCP_ECLOSED and closes the connection. */
  close(): Promise<void>;
}

/** Calls one tool over a separate connection. */
export function call(url: string, tool: string, args?: object, options?: CallOptions): Promise<any>;

/** The call that the current function serves, also after an await or in a timer; undefined outside of handlers. */
export function currentCall(): Call | undefined;

/**
 * Writes one line to the log: to stderr and, while a server of this process runs, also to Godot; with the trace of the call
 * that is being served. It never blocks.
 *
 * Secrets in data are replaced by "[REDACTED]": values of members that are named password, token, api_key, authorization or
 * secret. part names the origin of the line.
 */
export function log(level: Level, message: string, data?: unknown, part?: string): void;

/** Whether a line of this level is written anywhere. */
export function logEnabled(level: Level): boolean;

/**
 * Settings from the environment. A variable that is unset or empty has its default. An invalid value is logged with the values
 * that are allowed, and throws MCP_EENV: end the program then. They read the environment of the process, also in workers.
 */
export const env: {
  int(name: string, fallback: number, limits?: { min?: number; max?: number }): number;
  /** 0, 1, true, false, yes, no, on, off. */
  bool(name: string, fallback: boolean): boolean;
  text<T extends string | undefined>(name: string, fallback?: T): string | T;
  /** Absolute paths, separated by colons. */
  directories(name: string): string[];
  /** The path of a file that the program stores: the variable, or else file in the directory ICCM_DATA, which is created. */
  dataPath(name: string, file: string): string;
};

/** The version of libiccm_network. */
export const version: string;

/** The number of blocks of memory that the library holds, for tests of leaks. */
export function memoryBlocks(): number;
