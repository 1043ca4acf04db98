/* modern.c: the metadata is read first: it decides by which version a request is served. */
#include "mcp/modern.h"

#include "base/json.h"

#include <stdio.h>
#include <string.h>

enum { QUOTED_MAX_BYTES = 128 };

static void refuse(mcp__metadata_t *metadata, int code, const char *problem) {
  metadata->code = code;
  metadata->problem = problem;
}

static void add_supported(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key) {
  yyjson_mut_val *supported = yyjson_mut_obj_add_arr(doc, object, key);
  for (int i = MCP__VERSION_COUNT - 1; i >= 0; i--)
    yyjson_mut_arr_add_str(doc, supported, mcp__protocol_version_name((mcp__protocol_version_t)i));
}

static void refuse_version(mcp__metadata_t *metadata, yyjson_val *requested, mcp__arena_t *arena) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(&arena->alc);
  yyjson_mut_val *data = yyjson_mut_obj(doc);
  add_supported(doc, data, "supported");
  yyjson_mut_obj_add_val(doc, data, "requested", yyjson_val_mut_copy(doc, requested));
  refuse(metadata, MCP__UNSUPPORTED_VERSION, "unsupported protocol version");
  metadata->data = yyjson_mut_val_write_opts(data, 0, &arena->alc, &metadata->data_len, NULL);
}

void mcp__metadata_read(mcp__metadata_t *metadata, yyjson_val *params, bool is_required,
                        mcp__arena_t *arena) {
  yyjson_val *meta = yyjson_obj_get(params, "_meta");
  yyjson_val *name = yyjson_obj_get(meta, MCP__META_VERSION);
  mcp__protocol_version_t version;
  *metadata = (mcp__metadata_t){.is_modern = name != NULL || is_required};
  if (!metadata->is_modern)
    return;
  if (!yyjson_is_str(name) || yyjson_get_len(name) > QUOTED_MAX_BYTES) {
    refuse(metadata, MCP_INVALID_PARAMS,
           "/_meta/io.modelcontextprotocol~1protocolVersion: must be an MCP protocol version, a string");
    return;
  }
  if (!mcp__protocol_version_parse(yyjson_get_str(name), yyjson_get_len(name), &version)) {
    refuse_version(metadata, name, arena);
    return;
  }
  metadata->is_modern = version >= MCP__2026_07_28 || is_required;
  if (metadata->is_modern && !yyjson_is_obj(yyjson_obj_get(meta, MCP__META_CAPABILITIES)))
    refuse(metadata, MCP_INVALID_PARAMS,
           "/_meta/io.modelcontextprotocol~1clientCapabilities: must be an object");
}

int mcp__modern_write_members(mcp__buf_t *out, const char *name, const char *version) {
  int status =
      mcp__buf_puts(out, ",\"resultType\":\"complete\",\"_meta\":{\"" MCP__META_SERVER_INFO "\":{\"name\":");
  status = mcp__buf_first_error(status, mcp__buf_json_string(out, name, strlen(name)));
  status = mcp__buf_first_error(status, mcp__buf_puts(out, ",\"version\":"));
  status = mcp__buf_first_error(status, mcp__buf_json_string(out, version, strlen(version)));
  return mcp__buf_first_error(status, mcp__buf_puts(out, "}}"));
}

int mcp__modern_write_caching(mcp__buf_t *out) {
  return mcp__buf_printf(out, ",\"ttlMs\":%d,\"cacheScope\":\"private\"", MCP__LIST_TTL_MS);
}

const char *mcp__modern_discover(const char *capability, mcp__arena_t *arena, size_t *len) {
  yyjson_mut_doc *doc = yyjson_mut_doc_new(&arena->alc);
  yyjson_mut_val *root = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, root);
  add_supported(doc, root, "supportedVersions");
  yyjson_mut_val *capabilities = yyjson_mut_obj_add_obj(doc, root, "capabilities");
  yyjson_mut_val *tools = yyjson_mut_obj_add_obj(doc, capabilities, "tools");
  yyjson_mut_obj_add_bool(doc, tools, "listChanged", true);
  if (capability != NULL)
    yyjson_mut_obj_add_obj(doc, yyjson_mut_obj_add_obj(doc, capabilities, "experimental"), capability);
  const char *text = yyjson_mut_write_opts(doc, 0, &arena->alc, len, NULL);
  *len -= text != NULL; /* without the closing brace */
  return text;
}

char *mcp__modern_initialize_params(yyjson_val *params) {
  yyjson_val *meta = yyjson_obj_get(params, "_meta");
  yyjson_mut_doc *doc = yyjson_mut_doc_new(&mcp__json_alc);
  yyjson_mut_val *root = yyjson_mut_obj(doc);
  yyjson_mut_doc_set_root(doc, root);
  yyjson_mut_obj_add_val(doc, root, "protocolVersion",
                         yyjson_val_mut_copy(doc, yyjson_obj_get(meta, MCP__META_VERSION)));
  yyjson_mut_obj_add_val(doc, root, "capabilities",
                         yyjson_val_mut_copy(doc, yyjson_obj_get(meta, MCP__META_CAPABILITIES)));
  yyjson_val *info = yyjson_obj_get(meta, MCP__META_CLIENT_INFO);
  if (info != NULL)
    yyjson_mut_obj_add_val(doc, root, "clientInfo", yyjson_val_mut_copy(doc, info));
  char *text = yyjson_mut_write_opts(doc, 0, &mcp__json_alc, NULL, NULL);
  yyjson_mut_doc_free(doc);
  return text;
}
