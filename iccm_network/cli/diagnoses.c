/* diagnoses.c: the table of all that `iccm doctor` can tell, in words for whoever sees it the first time. */
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
           "The time for everything was over before there was a connection; what is wrong, if anything, cannot be "
           "told.",
           "Allow more by --timeout SECONDS."),
    FAILED(DIAGNOSIS_NO_TIME, ICCM_TIMEOUT, "no_time",
           "The time for everything was over before this was done; nothing was tried behind it.",
           "Allow more by --timeout SECONDS."),

    FAILED(DIAGNOSIS_NAME_UNKNOWN, ICCM_UNREACHABLE, "name_unknown",
           "No machine or container of this name is known here: it is misspelt, its container does not run, or it "
           "runs in another container network.",
           "Check the spelling and /etc/hosts; for a container: does it run, and is it in the same network as this "
           "one? Or use its address in place of its name."),
    FAILED(DIAGNOSIS_NAME_LATE, ICCM_UNREACHABLE, "name_late",
           "The name server did not answer: it is away, or /etc/resolv.conf names a wrong one.",
           "Check /etc/resolv.conf, or use the address in place of the name."),

    FAILED(DIAGNOSIS_REFUSED, ICCM_UNREACHABLE, "refused",
           "The machine is there, but no program listens on this port at this address: the server does not run, "
           "listens on another port, or is bound to 127.0.0.1 there; or a firewall turns callers away.",
           "On that machine `ss -ltn` shows who listens where; a server that others shall reach listens on 0.0.0.0 "
           "or [::], and a container's port has to be published."),
    FAILED(DIAGNOSIS_REFUSED_LOOPBACK, ICCM_UNREACHABLE, "refused_loopback",
           "No program listens on this port of this machine: the server does not run, or listens on another port. "
           "In a container, localhost is that container alone.",
           "Start the server, and compare its port (`ss -ltn` shows all); from a container use the name of the "
           "server's container or machine."),
    WARNING(DIAGNOSIS_REFUSED_OTHER_ACCEPTS, "refused_other_accepts",
            "The name stands for several addresses, and the server listens on some of them alone (often on IPv4, "
            "but not on IPv6). Clients that try this address first are slow or fail.",
            "Let the server listen on 0.0.0.0 and [::], or use an address that accepts in place of the name."),
    FAILED(DIAGNOSIS_LOOPBACK_ONLY, ICCM_UNREACHABLE, "loopback_only",
           "The server runs on this machine, but is bound to 127.0.0.1 only: that address accepts, this one does not. "
           "Other machines and containers cannot reach it.",
           "Bind the server to 0.0.0.0 (all addresses) instead of 127.0.0.1 or localhost."),
    WARNING(DIAGNOSIS_LOOPBACK_ONLY_SEEN_INSIDE, "loopback_only_seen_inside",
            "The server is bound to 127.0.0.1 only: it works from this machine, and from no other machine or "
            "container.",
            "Where others shall reach it, bind it to 0.0.0.0 (all addresses)."),
    FAILED(DIAGNOSIS_DEAD_ADDRESS, ICCM_UNREACHABLE, "dead_address",
           "Nothing answers at this address, not even a refusal: a firewall drops the packets, the machine is off, or "
           "the name still stands for a container that is gone.",
           "Is the address right, and the machine or container up? Does a firewall or security group let this port "
           "through?"),
    WARNING(DIAGNOSIS_DEAD_OTHER_ACCEPTS, "dead_other_accepts",
            "The name also stands for an address where nothing answers, often that of a container that is gone. "
            "Clients that try it first wait in vain.",
            "Take the dead address out of DNS or /etc/hosts, or restart what registered it."),
    FAILED(DIAGNOSIS_NO_MACHINE, ICCM_UNREACHABLE, "no_machine",
           "The network says that no machine has this address: it is off, or the name still stands for a container "
           "that is gone.",
           "Is the machine or container up? After a restart it may have another address: ask for its name again, and "
           "look into /etc/hosts."),
    FAILED(DIAGNOSIS_NO_ROUTE, ICCM_UNREACHABLE, "no_route",
           "This machine knows no way to that network: the address belongs to another (container) network, or IPv6 is "
           "switched off here.",
           "`ip route get ADDRESS` shows the way; put both into one network, or use another of the server's "
           "addresses."),
    WARNING(DIAGNOSIS_NO_ROUTE_OTHER_ACCEPTS, "no_route_other_accepts",
            "This machine knows no way to one of the name's addresses, often since it has no IPv6; clients go on to "
            "the next address at once.",
            "Nothing, unless a client does not try all addresses: then use one that accepts in place of the name."),
    FAILED(DIAGNOSIS_NO_CONNECTION, ICCM_UNREACHABLE, "no_connection", "The system could not connect.",
           "Look the error up; `ss -tn` and `ip route` show what this machine has."),

    FAILED(DIAGNOSIS_TLS_CA, ICCM_USAGE, "tls_ca", "The file that ICCM_TLS_CA names cannot be used.",
           "Let ICCM_TLS_CA name a file in PEM with the certificates of whom to trust, or unset it to trust whom this "
           "machine does."),
    FAILED(DIAGNOSIS_TLS_NOT_SPOKEN, ICCM_PROTOCOL, "tls_not_spoken",
           "This port was spoken to in TLS, and answered something else: the server speaks plain text here.",
           "Use ws:// in place of wss://, or the server's TLS port; a server of iccm-network speaks TLS where "
           "ICCM_TLS_CERT and ICCM_TLS_KEY are set."),
    FAILED(DIAGNOSIS_TLS_EXPIRED, ICCM_PROTOCOL, "tls_expired",
           "The server's certificate, or one that it depends on, has expired: no client that looks at it connects.",
           "Renew it on the server; one of iccm-network reads its files again at SIGHUP. If the date is not over yet, "
           "this machine's clock is wrong."),
    FAILED(DIAGNOSIS_TLS_NOT_YET, ICCM_PROTOCOL, "tls_not_yet",
           "The server's certificate is not valid yet: a clock is wrong, here or where it was made.",
           "Compare `date -u` on both machines."),
    FAILED(DIAGNOSIS_TLS_UNTRUSTED, ICCM_PROTOCOL, "tls_untrusted",
           "Nobody whom this machine trusts has signed the server's certificate: it was signed by itself, or by an "
           "authority of one's own, or the server does not send the certificates between.",
           "Let ICCM_TLS_CA name a file with the authority's certificate; in a bare container install ca-certificates; "
           "the server's file has to hold the certificates between, behind its own."),
    FAILED(DIAGNOSIS_TLS_WRONG_NAME, ICCM_PROTOCOL, "tls_wrong_name",
           "The server's certificate is for another name: this is another server than was meant, or the certificate "
           "was made without this name.",
           "Use a name that it is for, or make one that has this name, or address, among its alternative names."),
    FAILED(DIAGNOSIS_TLS_UNFIT, ICCM_PROTOCOL, "tls_unfit", "Something else is wrong with the server's certificate.",
           "Look the reason up, and make it anew."),
    FAILED(DIAGNOSIS_TLS_REFUSED, ICCM_PROTOCOL, "tls_refused",
           "The server refused TLS's handshake: it speaks no version or cipher that is spoken here (TLS 1.2 and 1.3), "
           "knows no server of this name, or wants a certificate from its clients.",
           "The server's log, or that of the proxy in front of it, says more."),
    FAILED(DIAGNOSIS_TLS_SILENT, ICCM_UNREACHABLE, "tls_silent",
           "A program accepts connections here, but does not answer in TLS: it waits for another protocol, or hangs.",
           "Is this the MCP server's TLS port? Try ws:// in place of wss://; if it hangs, restart it."),
    FAILED(DIAGNOSIS_TLS_CLOSED, ICCM_PROTOCOL, "tls_closed",
           "Whoever listens here hangs up at TLS's first words: it does not speak it, or a proxy found no server "
           "behind it.",
           "Try ws:// in place of wss://; is this the MCP server's port?"),
    FAILED(DIAGNOSIS_TLS_FAILED, ICCM_PROTOCOL, "tls_failed", "TLS's handshake did not come to its end.",
           "Look the reason up; the server's log says more."),

    FAILED(DIAGNOSIS_UPGRADE_SILENT, ICCM_UNREACHABLE, "upgrade_silent",
           "A program accepts connections here, but says nothing: it hangs, or it is no web server at all.",
           "Is this the MCP server's port? If it is, the server hangs: look at its log, restart it."),
    FAILED(DIAGNOSIS_UPGRADE_CLOSED, ICCM_PROTOCOL, "upgrade_closed",
           "Whoever listens here hangs up at the request: it is no WebSocket server, it crashed on it, or a proxy "
           "found no server behind it.",
           "Is this the MCP server's port? Then its log says why it closed."),
    FAILED(DIAGNOSIS_TLS, ICCM_PROTOCOL, "tls",
           "This port speaks TLS (https, wss), and was spoken to in plain text.",
           "Use wss:// in place of ws://, or the server's plain port."),
    FAILED(DIAGNOSIS_SSH, ICCM_PROTOCOL, "ssh", "This is the port of an SSH server.",
           "Use the MCP server's port."),
    FAILED(DIAGNOSIS_REDIS, ICCM_PROTOCOL, "redis", "This is the port of a Redis server.",
           "Use the MCP server's port; Godot's is 9060, that of its Redis 6379."),
    FAILED(DIAGNOSIS_NOT_HTTP, ICCM_PROTOCOL, "not_http", "Another kind of server listens here: its answer is not HTTP.",
           "Use the MCP server's port."),
    FAILED(DIAGNOSIS_UPGRADE_UNFINISHED, ICCM_PROTOCOL, "upgrade_unfinished",
           "The answer to the upgrade began, but did not come to its end: the server, or a proxy, hangs or broke off.",
           "Look at its log, restart it; go around any proxy."),
    FAILED(DIAGNOSIS_PAGE, ICCM_PROTOCOL, "page",
           "An ordinary web server answers here, or a proxy that does not pass the WebSocket upgrade on.",
           "Check port and path. Behind a proxy, let it forward the headers Upgrade and Connection by HTTP/1.1."),
    FAILED(DIAGNOSIS_REDIRECT, ICCM_PROTOCOL, "redirect", "The server, or a proxy, sends its callers elsewhere.",
           "Use the address that it names, or the server's own in place of the proxy's."),
    FAILED(DIAGNOSIS_BAD_REQUEST, ICCM_PROTOCOL, "bad_request",
           "The request to switch to WebSocket was refused as wrong: often a proxy took Upgrade and Connection out "
           "of it.",
           "Read the answer above; behind a proxy, let it forward Upgrade and Connection by HTTP/1.1, or go "
           "around it."),
    FAILED(DIAGNOSIS_UNAUTHORIZED, ICCM_REFUSED, "unauthorized",
           "The server wants a token that proves who calls, and got none or a wrong one.",
           "Ask whoever runs the server for the token, and set ICCM_AUTH_TOKEN, or --token, to it."),
    FAILED(DIAGNOSIS_FORBIDDEN, ICCM_REFUSED, "forbidden",
           "The server does not admit callers from here: ICCM servers admit loopback and private networks alone.",
           "Call from a private network, or run the server with ICCM_ALLOW_PUBLIC=1; its log names the caller."),
    FAILED(DIAGNOSIS_NO_PATH, ICCM_PROTOCOL, "no_path",
           "A web server is here, but serves no WebSocket at this path.",
           "Check the path behind the port, and the port itself."),
    FAILED(DIAGNOSIS_GATEWAY, ICCM_PROTOCOL, "gateway",
           "A proxy answers, but cannot reach the server behind it: that does not run, or the proxy has an old "
           "address of it.",
           "Start the server; then reload the proxy, and check the address it forwards to."),
    FAILED(DIAGNOSIS_BUSY, ICCM_PROTOCOL, "busy",
           "The server is there, but takes no more connections now; or a proxy has no server behind it.",
           "Try again; ICCM servers have a limit, ICCM_MAX_CONNECTIONS, and their log names who holds many."),
    FAILED(DIAGNOSIS_OTHER_STATUS, ICCM_PROTOCOL, "other_status", "The server does not switch to WebSocket.",
           "Read its answer above, and check port and path."),
    FAILED(DIAGNOSIS_WRONG_ACCEPT, ICCM_PROTOCOL, "wrong_accept",
           "The answer does not fit the question (Sec-WebSocket-Accept): a proxy or cache repeats an old answer, or "
           "the server's WebSocket is faulty.",
           "Go around the proxy; if it stays, the server has to compute Sec-WebSocket-Accept from each request's "
           "key."),
    FAILED(DIAGNOSIS_WRONG_SWITCH, ICCM_PROTOCOL, "wrong_switch",
           "The answer to the upgrade breaks the rules of WebSocket (RFC 6455 section 4.1).",
           "Go around any proxy; if it stays, the server has to be repaired."),

    FAILED(DIAGNOSIS_INITIALIZE_CLOSED, ICCM_PROTOCOL, "initialize_closed",
           "The server switches to WebSocket, but hangs up before it answered: it crashed on the first message, "
           "or is a WebSocket server of another kind.",
           "The server's log says why it closed; check the path behind the port, too."),
    FAILED(DIAGNOSIS_INITIALIZE_SILENT, ICCM_TIMEOUT, "initialize_silent",
           "The server switches to WebSocket, but does not answer `initialize`: it hangs, or does not speak MCP.",
           "Is this an MCP server? Then it hangs: look at its log, restart it."),
    WARNING(DIAGNOSIS_INITIALIZE_ERROR, "initialize_error",
            "The server refuses `initialize`, as ICCM's older components do; clients of iccm-network go on all the "
            "same, others give up.",
            "Nothing, where only ICCM's components call; else move the server to iccm-network."),
    FAILED(DIAGNOSIS_NOT_JSON, ICCM_PROTOCOL, "not_json", "The server answers on WebSocket, but not in JSON-RPC.",
           "Is this an MCP server? Check port and path."),
    FAILED(DIAGNOSIS_TOOLS_MISSING, ICCM_PROTOCOL, "tools_missing",
           "The server has no method `tools/list`: callers that look at a server's tools first cannot use it; calls "
           "of tools whose names are known may work.",
           "Is this the server that was meant? An older one can be called by its tools' names, or moved to "
           "iccm-network."),
    FAILED(DIAGNOSIS_TOOLS_ERROR, ICCM_PROTOCOL, "tools_error", "The server failed at, or misunderstood, `tools/list`.",
           "The server's log says more."),
    FAILED(DIAGNOSIS_SILENT, ICCM_TIMEOUT, "silent",
           "The server answered before, but not this: it hangs, or loses requests.",
           "Look at its log; a handler that blocks must not keep the server."),
    FAILED(DIAGNOSIS_CLOSED, ICCM_PROTOCOL, "closed", "The server, or a proxy on the way, closed the connection.",
           "The server's log says why."),
    FAILED(DIAGNOSIS_NO_PONG, ICCM_TIMEOUT, "no_pong",
           "The server does not answer WebSocket's pings, which every peer has to (RFC 6455 section 5.5.2). Callers "
           "take it for dead and close idle connections.",
           "Let the server answer each ping by a pong; most libraries do so unless told not to, or blocked."),
    WARNING(DIAGNOSIS_NO_MCP_PING, "no_mcp_ping",
            "The server does not know MCP's method `ping`, as ICCM's older components do not. WebSocket's own pings "
            "are enough for connections to last.",
            "Nothing; `iccm ping` takes the error for an answer."),
    FAILED(DIAGNOSIS_LARGE_LIMIT, ICCM_PROTOCOL, "large_limit",
           "The server closes the connection at messages above its limit, often the 1 MiB that is Python's default; "
           "all calls on the connection are lost with it.",
           "Raise the limit: max_size in Python's websockets; servers of iccm-network take 16 MiB unless told "
           "otherwise. Or send less at once."),
    FAILED(DIAGNOSIS_LARGE_CLOSED, ICCM_PROTOCOL, "large_closed",
           "The connection does not survive a large message, and nobody says why: a limit of the server or of a "
           "proxy on the way, or a crash.",
           "Look at the logs of both; raise the limit for messages, or send less at once."),
    FAILED(DIAGNOSIS_LARGE_SILENT, ICCM_TIMEOUT, "large_silent",
           "Small messages are answered, large ones are not: the server drops them, or a network on the way loses "
           "large packets (a wrong MTU, often with VPNs and container networks).",
           "`ip link` shows the MTU at both ends: they have to fit the way between; then look at the server's log."),
    WARNING(DIAGNOSIS_BAD_JSON_SILENT, "bad_json_silent",
            "The server does not answer what it cannot read, as ICCM's first logging server in Python did not: "
            "its callers hang until their own time-out.",
            "Let the server answer error -32700 with id null (servers of iccm-network do); callers: set a time-out."),
    WARNING(DIAGNOSIS_BAD_JSON_CLOSED, "bad_json_closed",
            "The server closes the connection at a message that it cannot read: all other calls on it are lost.",
            "Let the server answer error -32700 with id null, and go on."),
    WARNING(DIAGNOSIS_BAD_JSON_ANSWER, "bad_json_answer",
            "The server answers bad JSON by something other than error -32700: callers cannot tell what was wrong.",
            "Let the server answer error -32700 with id null (JSON-RPC 2.0 section 5.1)."),
};
/* clang-format on */

const diagnosis_t *diagnosis_of(diagnosis_id_t id) {
  return &diagnoses[id];
}
