/* tools.h: a server's validated copy of its tool table. */
#ifndef MCP_TOOLS_H
#define MCP_TOOLS_H

#include "mcp/pagination.h"
#include "mcp/tool_counts.h"
#include "mcp/tool_headers.h"
#include "schema/schema.h"

#include <stdatomic.h>

typedef struct mcp__tool {
  char *name;
  uint64_t number;                /* increases within a table, and is never reused */
  mcp__schema_t *schema, *output; /* output: of results; NULL: not validated */
  mcp__buf_t list_entry;          /* its entry in tools/list without outputSchema and the closing brace */
  mcp__buf_t list_entry_output;   /* its outputSchema member */
  mcp_tool_cb handler;
  void *arg;
  void (*destroy)(void *arg); /* NULL: nothing to call */
  unsigned flags;
  mcp__tool_headers_t headers;
  yyjson_doc *client_capabilities; /* that a client needs; NULL: none */
  mcp__tool_counts_t counts;
  atomic_uint users; /* reference count: the table, and calls, which may outlive table and server */
} mcp__tool_t;

typedef struct mcp__tools {
  mcp__tool_t **table;
  size_t count;
  uint32_t *slots; /* hash table: index into table + 1, or 0 */
  size_t slot_mask;
  mcp__pages_t lists[2]; /* the pages of tools/list; [1] with output schemas */
  /* The highest tool number and cursor ever used, kept across changes of the table. */
  uint64_t last_number, last_cursor;
} mcp__tools_t;

/* Of tools that do not enter a table. */
void mcp__tool_destroy_arg(const mcp_tool_t *given);
void mcp__tools_destroy_args(const mcp_tool_t *given); /* up to MCP_TOOL_END */

/* Copies and validates a table that ends with MCP_TOOL_END. Takes over the args of the given tools, also on
 * error, and destroys each once. 0, UV_ENOMEM, or MCP_ETOOL with a problem that names the tool and the
 * member.
 */
int mcp__tools_init(mcp__tools_t *tools, const mcp_tool_t *given, char *problem, size_t problem_size);
void mcp__tools_deinit(mcp__tools_t *tools); /* a zeroed table is fine */

/* Adds a tool, whose arg it takes over as above, or removes one. 0, an error as above, or UV_ENOENT. On error
 * the table is unchanged. */
int mcp__tools_add(mcp__tools_t *tools, const mcp_tool_t *given, char *problem, size_t problem_size);
int mcp__tools_remove(mcp__tools_t *tools, const char *name);

mcp__tool_t *mcp__tools_find(const mcp__tools_t *tools, const char *name, size_t len);

/* The page of tools/list after a cursor; 0: the first page. False: no page of this table ever returned this
 * cursor. */
bool mcp__tools_page(const mcp__tools_t *tools, bool with_output, uint64_t cursor, mcp__page_t *page);

bool mcp__tools_any_blocking(const mcp__tools_t *tools);

mcp__tool_t *mcp__tool_hold(mcp__tool_t *tool);
void mcp__tool_release(mcp__tool_t *tool); /* any thread; NULL is fine */

#endif
