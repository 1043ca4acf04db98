/* diagnoses.c: the table of all findings of `iccm doctor`, explained for first-time readers. */
#include "diagnoses.h"
#include "exit_codes.h"

#define FAILED(id, code, name, cause_text, to_do_text)                                                       \
  [id] = {VERDICT_FAILED, code, name, cause_text, to_do_text}
#define WARNING(id, name, cause_text, to_do_text)                                                            \
  [id] = {VERDICT_WARNING, ICCM_OK, name, cause_text, to_do_text}

/* clang-format off */
static const diagnosis_t diagnoses[DIAGNOSIS_COUNT] = {
    [DIAGNOSIS_NONE] = {VERDICT_OK, ICCM_OK, "", "", ""},
    FAILED(DIAGNOSIS_NO_TIME_TO_CONNECT, ICCM_UNREACHABLE, "no_time_to_connect",
           "The time limit of the whole run expired before a connection was established; the cause is unknown.",
           "Raise the limit with --timeout SECONDS."),
    FAILED(DIAGNOSIS_NO_TIME, ICCM_TIMEOUT, "no_time",
           "The time limit of the whole run expired before this step was complete; later steps were not run.",
           "Raise the limit with --timeout SECONDS."),

    FAILED(DIAGNOSIS_NAME_UNKNOWN, ICCM_UNREACHABLE, "name_unknown",
           "No machine or container with this name is known here: the name is misspelt, the container is not "
           "running, or it is on another container network.",
           "Check the spelling and /etc/hosts. For a container, check that it is running and on the same network as "
           "this one. Or use its address instead of its name."),
    FAILED(DIAGNOSIS_NAME_LATE, ICCM_UNREACHABLE, "name_late",
           "The name server did not respond: it is unavailable, or /etc/resolv.conf names a wrong one.",
           "Check /etc/resolv.conf, or use the address instead of the name."),

    FAILED(DIAGNOSIS_REFUSED, ICCM_UNREACHABLE, "refused",
           "The machine is reachable, but no program listens on this port of this address: the server is not "
           "running, listens on another port, or is bound to 127.0.0.1; or a firewall rejects the connection.",
           "Run `ss -ltn` on that machine: it lists all listening sockets. Bind the server to 0.0.0.0 or [::] so "
           "that other machines can reach it; publish the port of a container."),
    FAILED(DIAGNOSIS_REFUSED_LOOPBACK, ICCM_UNREACHABLE, "refused_loopback",
           "No program listens on this port of this machine: the server is not running, or listens on another port. "
           "In a container, localhost is that container only.",
           "Start the server and compare its port (`ss -ltn` lists all listening sockets). In a container, use the "
           "name of the server's container or machine."),
    WARNING(DIAGNOSIS_REFUSED_OTHER_ACCEPTS, "refused_other_accepts",
            "The name has several addresses, and the server listens on only some of them (often on IPv4, but not on "
            "IPv6). Clients that try this address first are slow or fail.",
            "Bind the server to 0.0.0.0 and [::], or use an address that accepts connections instead of the name."),
    FAILED(DIAGNOSIS_LOOPBACK_ONLY, ICCM_UNREACHABLE, "loopback_only",
           "The server runs on this machine but is bound to 127.0.0.1 only: that address accepts connections, this "
           "one does not. Other machines and containers cannot reach it.",
           "Bind the server to 0.0.0.0 (all addresses) instead of 127.0.0.1 or localhost."),
    WARNING(DIAGNOSIS_LOOPBACK_ONLY_SEEN_INSIDE, "loopback_only_seen_inside",
            "The server is bound to 127.0.0.1 only: it is reachable from this machine, and from no other machine or "
            "container.",
            "If other machines must reach it, bind it to 0.0.0.0 (all addresses)."),
    FAILED(DIAGNOSIS_DEAD_ADDRESS, ICCM_UNREACHABLE, "dead_address",
           "This address does not respond, not even with a refusal: a firewall drops the packets, the machine is "
           "off, or the name still refers to a container that no longer exists.",
           "Check that the address is right, that the machine or container is running, and that the firewall or "
           "security group admits this port."),
    WARNING(DIAGNOSIS_DEAD_OTHER_ACCEPTS, "dead_other_accepts",
            "The name also has an address that does not respond, often that of a container that no longer exists. "
            "Clients that try it first wait for a timeout.",
            "Remove this address from DNS or /etc/hosts, or restart the program that registered it."),
    FAILED(DIAGNOSIS_NO_MACHINE, ICCM_UNREACHABLE, "no_machine",
           "The network reports that no machine has this address: the machine is off, or the name still refers to a "
           "container that no longer exists.",
           "Check that the machine or container is running. It may have another address after a restart: resolve the "
           "name again, and check /etc/hosts."),
    FAILED(DIAGNOSIS_NO_ROUTE, ICCM_UNREACHABLE, "no_route",
           "This machine has no route to that network: the address belongs to another (container) network, or IPv6 "
           "is disabled here.",
           "`ip route get ADDRESS` shows the route. Put both machines on one network, or use another address of the "
           "server."),
    WARNING(DIAGNOSIS_NO_ROUTE_OTHER_ACCEPTS, "no_route_other_accepts",
            "This machine has no route to one of the name's addresses, often because it has no IPv6. Clients try the "
            "next address at once.",
            "Nothing, unless a client does not try all addresses: then use one that accepts connections instead of "
            "the name."),
    FAILED(DIAGNOSIS_NO_CONNECTION, ICCM_UNREACHABLE, "no_connection",
           "The operating system could not connect, for the reason above.",
           "Look up the error; `ss -tn` and `ip route` show the connections and routes of this machine."),

    FAILED(DIAGNOSIS_TLS_CA, ICCM_USAGE, "tls_ca",
           "The file named by ICCM_TLS_CA cannot be used.",
           "Set ICCM_TLS_CA to a PEM file with the certificates to trust, or unset it to use the system trust store."),
    FAILED(DIAGNOSIS_TLS_NOT_SPOKEN, ICCM_PROTOCOL, "tls_not_spoken",
           "The client started a TLS handshake, and the response was not TLS: the server speaks plain text here.",
           "Use ws:// instead of wss:// (http:// instead of https://), or the server's TLS port. A server built with "
           "iccm-network speaks TLS if ICCM_TLS_CERT and ICCM_TLS_KEY are set."),
    FAILED(DIAGNOSIS_TLS_EXPIRED, ICCM_PROTOCOL, "tls_expired",
           "The server's certificate, or one in its chain, has expired. Clients that verify certificates do not "
           "connect.",
           "Renew it on the server; a server built with iccm-network reads its certificate files again on SIGHUP. If "
           "the date has not passed yet, the clock of this machine is wrong."),
    FAILED(DIAGNOSIS_TLS_NOT_YET, ICCM_PROTOCOL, "tls_not_yet",
           "The server's certificate is not valid yet: the clock of this machine is wrong, or that of the machine "
           "which issued it.",
           "Compare `date -u` on both machines."),
    FAILED(DIAGNOSIS_TLS_UNTRUSTED, ICCM_PROTOCOL, "tls_untrusted",
           "No certificate authority that this machine trusts has signed the server's certificate: it is "
           "self-signed, signed by a private authority, or the server does not send the intermediate certificates.",
           "Set ICCM_TLS_CA to a file with the authority's certificate. In a minimal container, install "
           "ca-certificates. The server's certificate file must hold the intermediate certificates after its own."),
    FAILED(DIAGNOSIS_TLS_WRONG_NAME, ICCM_PROTOCOL, "tls_wrong_name",
           "The server's certificate is for another name: this is another server than the intended one, or the "
           "certificate lacks this name.",
           "Use a name that the certificate lists, or issue one with this name or address among its subject "
           "alternative names."),
    FAILED(DIAGNOSIS_TLS_UNFIT, ICCM_PROTOCOL, "tls_unfit",
           "The server's certificate is invalid for the reason above.",
           "Look up the reason, and issue a new certificate."),
    FAILED(DIAGNOSIS_TLS_REFUSED, ICCM_PROTOCOL, "tls_refused",
           "The server refused the TLS handshake: it supports no version or cipher that this client supports (TLS "
           "1.2 and 1.3), knows no server of this name, or requires a client certificate.",
           "See the log of the server, or of the proxy in front of it."),
    FAILED(DIAGNOSIS_TLS_SILENT, ICCM_UNREACHABLE, "tls_silent",
           "A program accepts connections on this port but does not respond to the TLS handshake: it waits for "
           "another protocol, or hangs.",
           "Check that this is the MCP server's TLS port. Try ws:// instead of wss:// (http:// instead of https://). If "
           "the server hangs, restart it."),
    FAILED(DIAGNOSIS_TLS_CLOSED, ICCM_PROTOCOL, "tls_closed",
           "The server closed the connection during the TLS handshake: it does not speak TLS, or a proxy found no "
           "server behind it.",
           "Try ws:// instead of wss:// (http:// instead of https://). Check that this is the MCP server's port."),
    FAILED(DIAGNOSIS_TLS_FAILED, ICCM_PROTOCOL, "tls_failed",
           "The TLS handshake did not complete.",
           "Look up the reason; the server's log has more details."),

    FAILED(DIAGNOSIS_UPGRADE_SILENT, ICCM_UNREACHABLE, "upgrade_silent",
           "A program accepts connections on this port but does not respond: it hangs, or it is not a web server.",
           "Check that this is the MCP server's port. If it is, the server hangs: see its log, and restart it."),
    FAILED(DIAGNOSIS_UPGRADE_CLOSED, ICCM_PROTOCOL, "upgrade_closed",
           "The server closed the connection instead of responding to the upgrade request: it is not a WebSocket "
           "server, it crashed on the request, or a proxy found no server behind it.",
           "Check that this is the MCP server's port. If it is, the server's log shows why it closed the connection."),
    FAILED(DIAGNOSIS_TLS, ICCM_PROTOCOL, "tls",
           "This port speaks TLS (https, wss), but the request was sent in plain text.",
           "Use wss:// instead of ws:// (https:// instead of http://), or the server's plain port."),
    FAILED(DIAGNOSIS_SSH, ICCM_PROTOCOL, "ssh",
           "This is the port of an SSH server.",
           "Use the MCP server's port."),
    FAILED(DIAGNOSIS_REDIS, ICCM_PROTOCOL, "redis",
           "This is the port of a Redis server.",
           "Use the MCP server's port: 9060 for Godot (6379 is its Redis)."),
    FAILED(DIAGNOSIS_NOT_HTTP, ICCM_PROTOCOL, "not_http",
           "Another kind of server listens on this port: its response is not HTTP.",
           "Use the MCP server's port."),
    FAILED(DIAGNOSIS_UPGRADE_UNFINISHED, ICCM_PROTOCOL, "upgrade_unfinished",
           "The response to the upgrade request is incomplete: the server, or a proxy, hangs or stopped sending.",
           "See the server's log, and restart it; bypass any proxy."),
    FAILED(DIAGNOSIS_PAGE, ICCM_PROTOCOL, "page",
           "A plain web server responds on this port, or a proxy that does not forward the WebSocket upgrade.",
           "Check the port and the path. Behind a proxy, make it forward the headers Upgrade and Connection over "
           "HTTP/1.1."),
    FAILED(DIAGNOSIS_REDIRECT, ICCM_PROTOCOL, "redirect",
           "The server, or a proxy, redirects clients to another address.",
           "Use the address that it names, or the server's own address instead of the proxy's: many clients, and "
           "those built with iccm-network, do not follow redirects."),
    FAILED(DIAGNOSIS_BAD_REQUEST, ICCM_PROTOCOL, "bad_request",
           "The server rejected the upgrade request as invalid; often a proxy has removed the headers Upgrade and "
           "Connection.",
           "Read the response above. Behind a proxy, make it forward Upgrade and Connection over HTTP/1.1, or bypass "
           "it."),
    FAILED(DIAGNOSIS_UNAUTHORIZED, ICCM_REFUSED, "unauthorized",
           "The server requires a token, and the request had none or a wrong one.",
           "Ask the server's operator for the token, and set ICCM_AUTH_TOKEN or --token to it."),
    FAILED(DIAGNOSIS_FORBIDDEN, ICCM_REFUSED, "forbidden",
           "The server does not admit clients from this address: by default, ICCM servers admit only loopback and "
           "private networks.",
           "Call from a private network, or run the server with ICCM_ALLOW_PUBLIC=1; its log names the client."),
    FAILED(DIAGNOSIS_NO_PATH, ICCM_PROTOCOL, "no_path",
           "A web server responds, but serves no WebSocket at this path.",
           "Check the path after the port, and the port itself."),
    FAILED(DIAGNOSIS_GATEWAY, ICCM_PROTOCOL, "gateway",
           "A proxy responds but cannot reach the server behind it: that server is not running, or the proxy has an "
           "outdated address.",
           "Start the server; then reload the proxy, and check the address it forwards to."),
    FAILED(DIAGNOSIS_BUSY, ICCM_PROTOCOL, "busy",
           "The server is running but accepts no more connections at the moment; or a proxy has no server behind it.",
           "Try again. ICCM servers have a limit, ICCM_MAX_CONNECTIONS; their log names the clients that hold many "
           "connections."),
    FAILED(DIAGNOSIS_OTHER_STATUS, ICCM_PROTOCOL, "other_status",
           "The server does not switch to WebSocket.",
           "Read its response above, and check the port and the path."),
    FAILED(DIAGNOSIS_WRONG_ACCEPT, ICCM_PROTOCOL, "wrong_accept",
           "The response does not match the request (Sec-WebSocket-Accept): a proxy or cache repeats an old "
           "response, or the server's WebSocket implementation is faulty.",
           "Bypass the proxy. If the error remains, the server must compute Sec-WebSocket-Accept from each request's "
           "key."),
    FAILED(DIAGNOSIS_WRONG_SWITCH, ICCM_PROTOCOL, "wrong_switch",
           "The response to the upgrade request violates the WebSocket protocol (RFC 6455 section 4.1).",
           "Bypass any proxy. If the error remains, fix the server."),

    FAILED(DIAGNOSIS_PROGRAM_NOT_FOUND, ICCM_UNREACHABLE, "program_not_found",
           "No program with this name is in the directories of PATH; or, for a name with a slash, the file does not "
           "exist.",
           "Check the spelling, and use the absolute path: hosts often start programs with another PATH and another "
           "working directory."),
    FAILED(DIAGNOSIS_NO_INTERPRETER, ICCM_UNREACHABLE, "no_interpreter",
           "The file exists, but the interpreter in its first line (#!), or the loader that it is linked to, does not.",
           "Install the interpreter or correct the first line; or start the interpreter with the file as its argument."),
    FAILED(DIAGNOSIS_NOT_EXECUTABLE, ICCM_UNREACHABLE, "not_executable",
           "The file exists but must not be executed: its permissions lack x for this user, it is a directory, or its "
           "file system is mounted noexec.",
           "Run `chmod +x` on it; or start its interpreter with the file as its argument."),
    FAILED(DIAGNOSIS_NOT_STARTED, ICCM_UNREACHABLE, "not_started",
           "The system cannot start the program, for the reason above.",
           "Check the name, and the limits of this process (`ulimit -a`)."),
    FAILED(DIAGNOSIS_STDOUT_TEXT, ICCM_PROTOCOL, "stdout_text",
           "The program prints text that is no message on standard output, and stdout must carry messages only: some "
           "hosts end the program then.",
           "Print banners and logs on standard error: print(…, file=sys.stderr) in Python, console.error() in Node."),
    FAILED(DIAGNOSIS_PROGRAM_SILENT, ICCM_TIMEOUT, "program_silent",
           "The program runs but does not answer `initialize`: it is no MCP server on stdio, it is still starting, or "
           "its output stays in a buffer, which is usual when standard output is a pipe.",
           "Check the arguments: some servers need one for stdio. Flush standard output after each message: "
           "print(…, flush=True) in Python, fflush(stdout) in C."),
    FAILED(DIAGNOSIS_PROGRAM_ENDED, ICCM_PROTOCOL, "program_ended",
           "The program ended, or closed its standard output, instead of answering.",
           "Read the exit status and the last line of standard error above; run the program in a terminal to see all "
           "of it. Exit status 0: check the arguments, since some servers need one for stdio."),
    WARNING(DIAGNOSIS_ENDS_AT_DISCOVER, "ends_at_discover",
            "The program ends when it receives `server/discover` before `initialize`, and works if `initialize` is "
            "first. Clients of MCP 2026-07-28, as those built with iccm-network, must start it twice; others cannot "
            "use it.",
            "Make the server answer requests that it does not know with error -32601."),
    WARNING(DIAGNOSIS_BAD_JSON_ENDED, "bad_json_ended",
            "The program ends on a line that it cannot parse: all calls in flight are lost.",
            "Make the server respond with error -32700 and id null, and read the next line."),
    WARNING(DIAGNOSIS_PROGRAM_STAYS, "program_stays",
            "The program does not end when stdin ends. Hosts that close stdin must also send signals, and if a host "
            "crashes, the program keeps running without one.",
            "Make the server end when it reads the end of standard input. Check for threads and child processes that "
            "keep it running."),

    FAILED(DIAGNOSIS_HTTP_SILENT, ICCM_UNREACHABLE, "http_silent",
           "A program accepts connections on this port but does not respond to a POST: it hangs, or it is not a web "
           "server.",
           "Check that this is the MCP server's port. If it is, the server hangs: see its log, and restart it."),
    FAILED(DIAGNOSIS_HTTP_CLOSED, ICCM_PROTOCOL, "http_closed",
           "The server closed the connection instead of responding to a POST: it is not a web server, it crashed on "
           "the request, or a proxy found no server behind it.",
           "Check that this is the MCP server's port. If it is, the server's log shows why it closed the connection."),
    FAILED(DIAGNOSIS_HTTP_UNFINISHED, ICCM_PROTOCOL, "http_unfinished",
           "The response to the POST is incomplete: the server, or a proxy, hangs or stopped sending.",
           "See the server's log, and restart it; bypass any proxy."),
    FAILED(DIAGNOSIS_HTTP_PAGE, ICCM_PROTOCOL, "http_page",
           "A web server answers the POST with a page that is no message of MCP: the port or the path is not the MCP "
           "server's, or a proxy answers in its place (a login, a start page).",
           "Check the port and the path; many servers use the path /mcp. Bypass any proxy."),
    FAILED(DIAGNOSIS_WRONG_PATH, ICCM_PROTOCOL, "wrong_path",
           "This server serves MCP at the path /mcp, not at the path of the URL.",
           "Use the path /mcp."),
    FAILED(DIAGNOSIS_NO_ENDPOINT, ICCM_PROTOCOL, "no_endpoint",
           "A web server responds, but serves no MCP at this path, nor at /mcp. If the page is a proxy's (see Server "
           "above), the proxy does not forward this path.",
           "Check the path and the port. Behind a proxy, check which paths it forwards, and whether it removes a part "
           "of them."),
    FAILED(DIAGNOSIS_NO_POST, ICCM_PROTOCOL, "no_post",
           "A web server responds, but takes no POST at this path: it serves files there, or the transport of MCP "
           "2024-11-05 (HTTP with SSE), which has been replaced.",
           "Check the path; many servers use /mcp. If the server only has the old transport, update it."),
    FAILED(DIAGNOSIS_NOT_ACCEPTABLE, ICCM_PROTOCOL, "not_acceptable",
           "The server rejects the header Accept: application/json, text/event-stream, which MCP requires of every "
           "POST; or a proxy has changed the header.",
           "Make the server accept this header, and bypass any proxy. Check that the path is that of MCP."),
    FAILED(DIAGNOSIS_MEDIA_TYPE, ICCM_PROTOCOL, "media_type",
           "The server rejects the header Content-Type: application/json, which MCP requires of every POST; or a "
           "proxy has changed the header.",
           "Make the server accept this header, and bypass any proxy. Check that the path is that of MCP."),
    FAILED(DIAGNOSIS_ONLY_WEBSOCKET, ICCM_PROTOCOL, "only_websocket",
           "This server speaks WebSocket, and no MCP over HTTP.",
           "Use ws:// instead of http:// (wss:// instead of https://). For clients that only speak HTTP, run `iccm "
           "bridge --listen PORT` in front of it."),
    FAILED(DIAGNOSIS_HTTP_OTHER_STATUS, ICCM_PROTOCOL, "http_other_status",
           "The server, or a proxy, rejects the POST or fails to handle it.",
           "Read its response above, and its log; check the port and the path."),

    FAILED(DIAGNOSIS_NO_VERSION, ICCM_PROTOCOL, "no_version",
           "The server answers with JSON-RPC, but serves no version of MCP that this client knows (2024-11-05 to "
           "2026-07-28).",
           "Read its response above. Check that this is an MCP server, and update it."),
    WARNING(DIAGNOSIS_ONLY_LEGACY, "only_legacy",
            "The server serves only versions of MCP before 2026-07-28. Clients that also know these, as those built "
            "with iccm-network do, need one more request for each connection; others cannot use it.",
            "Nothing, unless a client only knows 2026-07-28: then update the server."),
    WARNING(DIAGNOSIS_ONLY_MODERN, "only_modern",
            "The server serves no version of MCP before 2026-07-28: it has no `initialize`. Clients of older versions "
            "cannot use it.",
            "Nothing, unless a client only knows older versions: then update it."),
    FAILED(DIAGNOSIS_SESSION_MISSING, ICCM_PROTOCOL, "session_missing",
           "The response to `initialize` had no Mcp-Session-Id, and the next request is refused: often a proxy has "
           "removed the header Mcp-Session-Id.",
           "Read the response above. Make the proxy forward the header Mcp-Session-Id in both directions."),
    FAILED(DIAGNOSIS_SESSION_LOST, ICCM_PROTOCOL, "session_lost",
           "The server does not know the session that it has just opened: a load balancer sends the requests of one "
           "session to several processes, or a proxy removes the header Mcp-Session-Id of requests.",
           "Make the load balancer send all requests with the same Mcp-Session-Id to the same process, and forward "
           "this header; or run a single process."),
    FAILED(DIAGNOSIS_REQUEST_REFUSED, ICCM_PROTOCOL, "request_refused",
           "The server answered other requests, but refuses this one by HTTP.",
           "Read its response above; the log of the server, or of the proxy in front of it, has more details."),
    FAILED(DIAGNOSIS_STREAM_BUFFERED, ICCM_TIMEOUT, "stream_buffered",
           "The server, or a proxy, accepts the request for a stream of events but sends no part of it: usually a "
           "proxy buffers the response. Notifications and progress then arrive late or never.",
           "Switch off buffering for this path: `proxy_buffering off` in nginx. Servers built with iccm-network send "
           "X-Accel-Buffering: no; do not let the proxy ignore it. Without a proxy, the server must send the head of "
           "a stream at once."),
    FAILED(DIAGNOSIS_HTTP_LARGE_LIMIT, ICCM_PROTOCOL, "http_large_limit",
           "The server, or a proxy in front of it, refuses messages of this size; 1 MiB is the default of nginx.",
           "Raise the limit: `client_max_body_size` in nginx; servers built with iccm-network accept 16 MiB by "
           "default. Or send less at once."),

    FAILED(DIAGNOSIS_INITIALIZE_CLOSED, ICCM_PROTOCOL, "initialize_closed",
           "The server switches to WebSocket but closes the connection before it responds: it crashed on the first "
           "message, or is a WebSocket server of another kind.",
           "The server's log shows why it closed the connection. Also check the path after the port."),
    FAILED(DIAGNOSIS_INITIALIZE_SILENT, ICCM_TIMEOUT, "initialize_silent",
           "The server switches to WebSocket but does not respond to `initialize`: it hangs, or does not speak MCP.",
           "Check that this is an MCP server. If it is, it hangs: see its log, and restart it."),
    WARNING(DIAGNOSIS_INITIALIZE_ERROR, "initialize_error",
            "The server rejects `initialize`, as ICCM's older components do. Clients built with iccm-network ignore "
            "this error; others fail.",
            "Nothing, if only ICCM components call the server; otherwise port it to iccm-network."),
    FAILED(DIAGNOSIS_NOT_JSON, ICCM_PROTOCOL, "not_json",
           "The server responds over WebSocket, but not with JSON-RPC.",
           "Check that this is an MCP server; check the port and the path."),
    FAILED(DIAGNOSIS_TOOLS_MISSING, ICCM_PROTOCOL, "tools_missing",
           "The server has no method `tools/list`: clients that list the tools first cannot use it. Calls of known "
           "tools may work.",
           "Check that this is the intended server. Call an older server's tools by their names, or port it to "
           "iccm-network."),
    FAILED(DIAGNOSIS_TOOLS_ERROR, ICCM_PROTOCOL, "tools_error",
           "The server failed to handle `tools/list`, or misunderstood it.",
           "The server's log has more details."),
    FAILED(DIAGNOSIS_SILENT, ICCM_TIMEOUT, "silent",
           "The server responded before, but not to this request: it hangs, or loses requests.",
           "See its log. A blocking handler must not block the server's event loop."),
    FAILED(DIAGNOSIS_CLOSED, ICCM_PROTOCOL, "closed",
           "The server, or a proxy in between, closed the connection.",
           "The server's log shows the reason."),
    FAILED(DIAGNOSIS_NO_PONG, ICCM_TIMEOUT, "no_pong",
           "The server does not answer WebSocket pings, which RFC 6455 section 5.5.2 requires of every peer. Clients "
           "consider it dead and close idle connections.",
           "Make the server answer each ping with a pong. Most libraries do so unless it is disabled or their event "
           "loop is blocked."),
    WARNING(DIAGNOSIS_NO_MCP_PING, "no_mcp_ping",
            "The server does not know the MCP method `ping`, as ICCM's older components do not. WebSocket pings are "
            "enough to keep connections alive.",
            "Nothing; `iccm ping` counts the error as a response."),
    FAILED(DIAGNOSIS_LARGE_LIMIT, ICCM_PROTOCOL, "large_limit",
           "The server closes the connection on messages above its limit, often the 1 MiB that is the default of "
           "Python's websockets; all calls on the connection are lost with it.",
           "Raise the limit: max_size in Python's websockets; servers built with iccm-network accept 16 MiB by "
           "default. Or send less at once."),
    FAILED(DIAGNOSIS_LARGE_CLOSED, ICCM_PROTOCOL, "large_closed",
           "The connection does not survive a large message, and no reason is given: a limit of the server or of a "
           "proxy in between, or a crash.",
           "See the logs of both; raise the message limit, or send less at once."),
    FAILED(DIAGNOSIS_LARGE_SILENT, ICCM_TIMEOUT, "large_silent",
           "The server answers small messages but not large ones: it drops them, or a network in between loses large "
           "packets (a wrong MTU, often with VPNs and container networks).",
           "`ip link` shows the MTU at both ends; it must fit the path between them. Then see the server's log."),
    WARNING(DIAGNOSIS_BAD_JSON_SILENT, "bad_json_silent",
            "The server does not respond to invalid JSON, as ICCM's first logging server in Python did not: its "
            "clients hang until their own timeout.",
            "Make the server respond with error -32700 and id null (servers built with iccm-network do). Set a "
            "timeout in clients."),
    WARNING(DIAGNOSIS_BAD_JSON_CLOSED, "bad_json_closed",
            "The server closes the connection on a message that it cannot parse: all other calls on the connection "
            "are lost.",
            "Make the server respond with error -32700 and id null, and keep the connection open."),
    WARNING(DIAGNOSIS_BAD_JSON_ANSWER, "bad_json_answer",
            "The server responds to invalid JSON with something other than error -32700: clients cannot determine "
            "the cause.",
            "Make the server respond with error -32700 and id null (JSON-RPC 2.0 section 5.1)."),
};
/* clang-format on */

const diagnosis_t *diagnosis_of(diagnosis_id_t id) {
  return &diagnoses[id];
}
