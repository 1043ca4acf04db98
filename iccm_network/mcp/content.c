/* content.c: a table lists the required members of each block type; other members are not checked. Members of
 * type DATA are base64. Failure: a message for the first error. */
#include "mcp/content.h"

#include <stdio.h>
#include <string.h>

enum { MEMBERS = 2 };

typedef enum member_form { NOTHING, TEXT, DATA } form_t;

typedef struct member {
  const char *name;
  form_t member_form;
} member_t;

static const struct {
  const char *type;
  member_t members[MEMBERS];
} rules[] = {
    {"text", {{"text", TEXT}}},
    {"image", {{"data", DATA}, {"mimeType", TEXT}}},
    {"audio", {{"data", DATA}, {"mimeType", TEXT}}},
    {"resource_link", {{"uri", TEXT}, {"name", TEXT}}},
    {"resource", {{NULL, NOTHING}}}, /* checked by check_resource() */
};

static bool is_base64(yyjson_mut_val *value) { /* RFC 4648, 4 */
  const char *text = yyjson_mut_get_str(value);
  size_t len = yyjson_mut_get_len(value);
  size_t digits = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
  return len % 4 == 0 &&
         (digits == len || (len - digits <= 2 && memcmp(text + digits, "==", len - digits) == 0));
}

static const char *wrong_member(yyjson_mut_val *object, const member_t *member) {
  yyjson_mut_val *value = yyjson_mut_obj_get(object, member->name);
  if (!yyjson_mut_is_str(value))
    return "required, must be a string";
  return member->member_form == DATA && !is_base64(value) ? "is not base64" : NULL;
}

static bool refuse(char *problem, size_t size, size_t index, const char *member, const char *why) {
  snprintf(problem, size, "/%zu%s: %s", index, member, why);
  return false;
}

/* An embedded resource: its URI, and its contents as text or as base64. */
static bool check_resource(yyjson_mut_val *block, size_t index, char *problem, size_t size) {
  static const member_t uri = {"uri", TEXT}, text = {"text", TEXT}, blob = {"blob", DATA};
  yyjson_mut_val *resource = yyjson_mut_obj_get(block, "resource");
  if (!yyjson_mut_is_obj(resource))
    return refuse(problem, size, index, "/resource", "required, must be an object");
  const char *wrong = wrong_member(resource, &uri);
  if (wrong != NULL)
    return refuse(problem, size, index, "/resource/uri", wrong);
  if (yyjson_mut_obj_get(resource, "blob") == NULL)
    return wrong_member(resource, &text) == NULL ||
           refuse(problem, size, index, "/resource", "text or blob is required, must be a string");
  wrong = wrong_member(resource, &blob);
  return wrong == NULL || refuse(problem, size, index, "/resource/blob", wrong);
}

static bool check_block(yyjson_mut_val *block, size_t index, char *problem, size_t size) {
  yyjson_mut_val *type = yyjson_mut_obj_get(block, "type");
  size_t rule = 0, count = sizeof rules / sizeof *rules;
  while (rule < count && !yyjson_mut_equals_str(type, rules[rule].type))
    rule++;
  if (rule == count)
    return refuse(problem, size, index, "/type", "must be text, image, audio, resource_link or resource");
  for (size_t i = 0; i < MEMBERS && rules[rule].members[i].name != NULL; i++) {
    const char *wrong = wrong_member(block, &rules[rule].members[i]);
    char place[32];
    snprintf(place, sizeof place, "/%s", rules[rule].members[i].name);
    if (wrong != NULL)
      return refuse(problem, size, index, place, wrong);
  }
  return strcmp(rules[rule].type, "resource") != 0 || check_resource(block, index, problem, size);
}

bool mcp__content_check(yyjson_mut_val *content, char *problem, size_t problem_size) {
  if (!yyjson_mut_is_arr(content)) {
    snprintf(problem, problem_size, "/: must be an array of blocks");
    return false;
  }
  size_t index, count;
  yyjson_mut_val *block;
  yyjson_mut_arr_foreach(content, index, count, block) {
    if (!check_block(block, index, problem, problem_size))
      return false;
  }
  return true;
}
