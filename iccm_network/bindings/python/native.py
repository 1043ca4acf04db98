"""Describes the extension module iccm_network._native to cffi, in API mode for the stable ABI.

Happy path: Meson runs `native.py OUTPUT.c` to get the module's C source; setuptools, for the wheel, takes `ffi` from here.
"""
import re
import sys
from pathlib import Path

from cffi import FFI

# What Python uses of the library directly. "..." lets cffi take the rest from the header.
LIBRARY = """
typedef struct mcp_server mcp_server_t;
typedef struct mcp_client mcp_client_t;
typedef struct mcp_span { char trace_id[129]; char span_id[17]; char parent_id[17]; } mcp_span_t;
typedef struct mcp_tool {
  const char *name, *description, *input_schema;
  unsigned flags;
  const char *title, *output_schema, *annotations, *client_capabilities;
  ...;
} mcp_tool_t;
enum { MCP_TOOL_UNLISTED, MCP_TOOL_STRICT, MCP_TOOL_ADMIN, ... };
enum { MCP_LOG_TRACE, MCP_LOG_DEBUG, MCP_LOG_INFO, MCP_LOG_WARN, MCP_LOG_ERROR, ... };
enum { MCP_CANCEL_NONE, MCP_CANCEL_REQUESTED, MCP_CANCEL_DISCONNECTED, MCP_CANCEL_DEADLINE, MCP_CANCEL_STOPPING };

const char *mcp_version(void);
const char *mcp_strerror(int code);
const char *mcp_last_error(void);
uint64_t mcp_memory_blocks(void);

bool mcp_log_enabled(int level);
void mcp_log_text(int level, const char *part, const mcp_span_t *span, const char *message, size_t message_len,
                  const char *data, size_t data_len);
int mcp_log_redact(const char *name);

int mcp_server_set_max_message_bytes(mcp_server_t *server, size_t bytes);
int mcp_server_set_max_memory_bytes(mcp_server_t *server, size_t bytes);
int mcp_server_set_max_connections(mcp_server_t *server, int connections);
int mcp_server_set_max_connects_per_second(mcp_server_t *server, int connects);
int mcp_server_set_max_messages_per_second(mcp_server_t *server, int messages);
int mcp_server_set_allow_public(mcp_server_t *server, bool allow);
int mcp_server_set_allowed_origins(mcp_server_t *server, const char *origins);
int mcp_server_set_allowed_hosts(mcp_server_t *server, const char *hosts);
int mcp_server_set_auth_token(mcp_server_t *server, const char *token);
int mcp_server_set_tls(mcp_server_t *server, const char *cert_file, const char *key_file);
int mcp_server_reload(mcp_server_t *server);
int mcp_server_reload_on_sighup(mcp_server_t *server);
int mcp_server_set_reuseport(mcp_server_t *server, bool reuse);
int mcp_server_set_call_timeout_ms(mcp_server_t *server, uint64_t timeout_ms);
int mcp_server_set_shutdown_timeout_ms(mcp_server_t *server, uint64_t timeout_ms);
int mcp_server_set_log_url(mcp_server_t *server, const char *url);
int mcp_server_set_dependency(mcp_server_t *server, const char *dependency, const char *reason);
int mcp_server_remove_tool(mcp_server_t *server, const char *name);
int mcp_server_port(const mcp_server_t *server);

int mcp_client_set_max_message_bytes(mcp_client_t *client, size_t bytes);
int mcp_client_set_auth_token(mcp_client_t *client, const char *token);
int mcp_client_set_tls_ca(mcp_client_t *client, const char *ca_file);
int mcp_client_set_tls_verify(mcp_client_t *client, bool verify);
int mcp_client_set_fail_fast(mcp_client_t *client, bool fail_fast);
int mcp_client_connect(mcp_client_t *client);
int mcp_client_cancel(mcp_client_t *client, uint64_t id);

int mcp_env_int(const char *name, int64_t fallback, int64_t min, int64_t max, int64_t *out);
int mcp_env_bool(const char *name, bool fallback, bool *out);
const char *mcp_env_text(const char *name, const char *fallback);
int mcp_env_directories(const char *name, const char **out);
int mcp_env_data_path(const char *name, const char *file, char *path, size_t size);
void mcp_env_check(void);
"""


def shim_declarations():
    text = (Path(__file__).parent / "shim.h").read_text()
    return re.sub(r"^#.*$", "", text, flags=re.M)


ffi = FFI()
ffi.cdef(LIBRARY + shim_declarations())
ffi.set_source("iccm_network._native", '#include "shim.h"\n#include <iccm_service.h>\n', py_limited_api=True)

if __name__ == "__main__":
    ffi.emit_c_code(sys.argv[1])
