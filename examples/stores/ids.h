/* ids.h: converts ids between the text form of mcp_uuid_parse and 16 bytes. */
#ifndef STORES_IDS_H
#define STORES_IDS_H

#include <iccm_network.h>
#include <iccm_service.h>

enum { ID_BYTES = 16 };

void id_to_bytes(const char *id, unsigned char bytes[ID_BYTES]);
void id_from_bytes(const unsigned char *bytes, char id[MCP_UUID_SIZE]);

#endif
