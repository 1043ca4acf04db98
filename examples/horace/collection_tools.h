/* collection_tools.h: the tools for collections of files. */
#ifndef HORACE_COLLECTION_TOOLS_H
#define HORACE_COLLECTION_TOOLS_H

#include "horace.h"

extern const char create_collection_schema[], list_collections_schema[];
void on_create_collection(mcp_call_t *call, yyjson_val *args, void *horace);
void on_list_collections(mcp_call_t *call, yyjson_val *args, void *horace);

#endif
