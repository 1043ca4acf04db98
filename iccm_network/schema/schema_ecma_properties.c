/* schema_ecma_properties.c: names of ECMA-262 22.2.2.9, tables 67 to 69. PCRE2 has the binary properties
 * under the same names except CWKCF and Assigned, general categories by their short names, and scripts. It is
 * less strict about the spelling and has names that ECMA-262 has not, so each name is looked up here first.
 */
#include "schema/schema_ecma_properties.h"

#include <stdio.h>
#include <string.h>

static const char *const categories[][3] = {/* short, long, alternative */
                                            {"L&", "LC", "Cased_Letter"},
                                            {"Pe", "Close_Punctuation", ""},
                                            {"Pc", "Connector_Punctuation", ""},
                                            {"Cc", "Control", "cntrl"},
                                            {"Sc", "Currency_Symbol", ""},
                                            {"Pd", "Dash_Punctuation", ""},
                                            {"Nd", "Decimal_Number", "digit"},
                                            {"Me", "Enclosing_Mark", ""},
                                            {"Pf", "Final_Punctuation", ""},
                                            {"Cf", "Format", ""},
                                            {"Pi", "Initial_Punctuation", ""},
                                            {"L", "Letter", ""},
                                            {"Nl", "Letter_Number", ""},
                                            {"Zl", "Line_Separator", ""},
                                            {"Ll", "Lowercase_Letter", ""},
                                            {"M", "Mark", "Combining_Mark"},
                                            {"Sm", "Math_Symbol", ""},
                                            {"Lm", "Modifier_Letter", ""},
                                            {"Sk", "Modifier_Symbol", ""},
                                            {"Mn", "Nonspacing_Mark", ""},
                                            {"N", "Number", ""},
                                            {"Ps", "Open_Punctuation", ""},
                                            {"C", "Other", ""},
                                            {"Lo", "Other_Letter", ""},
                                            {"No", "Other_Number", ""},
                                            {"Po", "Other_Punctuation", ""},
                                            {"So", "Other_Symbol", ""},
                                            {"Zp", "Paragraph_Separator", ""},
                                            {"Co", "Private_Use", ""},
                                            {"P", "Punctuation", "punct"},
                                            {"Z", "Separator", ""},
                                            {"Zs", "Space_Separator", ""},
                                            {"Mc", "Spacing_Mark", ""},
                                            {"Cs", "Surrogate", ""},
                                            {"S", "Symbol", ""},
                                            {"Lt", "Titlecase_Letter", ""},
                                            {"Cn", "Unassigned", ""},
                                            {"Lu", "Uppercase_Letter", ""}};

static const char *const binaries[] = {"ASCII",
                                       "ASCII_Hex_Digit",
                                       "AHex",
                                       "Alphabetic",
                                       "Alpha",
                                       "Any",
                                       "Bidi_Control",
                                       "Bidi_C",
                                       "Bidi_Mirrored",
                                       "Bidi_M",
                                       "Case_Ignorable",
                                       "CI",
                                       "Cased",
                                       "Changes_When_Casefolded",
                                       "CWCF",
                                       "Changes_When_Casemapped",
                                       "CWCM",
                                       "Changes_When_NFKC_Casefolded",
                                       "CWKCF",
                                       "Changes_When_Lowercased",
                                       "CWL",
                                       "Changes_When_Titlecased",
                                       "CWT",
                                       "Changes_When_Uppercased",
                                       "CWU",
                                       "Dash",
                                       "Default_Ignorable_Code_Point",
                                       "DI",
                                       "Deprecated",
                                       "Dep",
                                       "Diacritic",
                                       "Dia",
                                       "Emoji",
                                       "Emoji_Component",
                                       "EComp",
                                       "Emoji_Modifier",
                                       "EMod",
                                       "Emoji_Modifier_Base",
                                       "EBase",
                                       "Emoji_Presentation",
                                       "EPres",
                                       "Extended_Pictographic",
                                       "ExtPict",
                                       "Extender",
                                       "Ext",
                                       "Grapheme_Base",
                                       "Gr_Base",
                                       "Grapheme_Extend",
                                       "Gr_Ext",
                                       "Hex_Digit",
                                       "Hex",
                                       "IDS_Binary_Operator",
                                       "IDSB",
                                       "IDS_Trinary_Operator",
                                       "IDST",
                                       "ID_Continue",
                                       "IDC",
                                       "ID_Start",
                                       "IDS",
                                       "Ideographic",
                                       "Ideo",
                                       "Join_Control",
                                       "Join_C",
                                       "Logical_Order_Exception",
                                       "LOE",
                                       "Lowercase",
                                       "Lower",
                                       "Math",
                                       "Noncharacter_Code_Point",
                                       "NChar",
                                       "Pattern_Syntax",
                                       "Pat_Syn",
                                       "Pattern_White_Space",
                                       "Pat_WS",
                                       "Quotation_Mark",
                                       "QMark",
                                       "Radical",
                                       "Regional_Indicator",
                                       "RI",
                                       "Sentence_Terminal",
                                       "STerm",
                                       "Soft_Dotted",
                                       "SD",
                                       "Terminal_Punctuation",
                                       "Term",
                                       "Unified_Ideograph",
                                       "UIdeo",
                                       "Uppercase",
                                       "Upper",
                                       "Variation_Selector",
                                       "VS",
                                       "White_Space",
                                       "space",
                                       "XID_Continue",
                                       "XIDC",
                                       "XID_Start",
                                       "XIDS"};

static const char *find_category(const char *name) {
  for (size_t i = 0; i < sizeof categories / sizeof categories[0]; i++) {
    bool shorter = strcmp(categories[i][0], name) == 0 && strcmp(name, "L&") != 0;
    if (*name != '\0' &&
        (shorter || strcmp(categories[i][1], name) == 0 || strcmp(categories[i][2], name) == 0))
      return categories[i][0];
  }
  return NULL;
}

static const char *find_binary(const char *name) {
  for (size_t i = 0; i < sizeof binaries / sizeof binaries[0]; i++)
    if (strcmp(binaries[i], name) == 0)
      return binaries[i];
  return NULL;
}

/* Latin, Old_Italic, Nko, Grek: capitalized words, separated by "_". */
static bool is_like_script(const char *name) {
  bool begins = true;
  for (; *name != '\0'; name++) {
    bool capital = *name >= 'A' && *name <= 'Z', small = *name >= 'a' && *name <= 'z';
    if (begins ? !capital : !small && *name != '_')
      return false;
    begins = *name == '_';
  }
  return !begins;
}

/* The value after "=", if the text begins with one of the names. */
static const char *value_of(const char *text, const char *name, const char *abbreviation) {
  size_t len = strcspn(text, "=");
  bool named = (strlen(name) == len && memcmp(text, name, len) == 0) ||
               (strlen(abbreviation) == len && memcmp(text, abbreviation, len) == 0);
  return named && text[len] == '=' ? text + len + 1 : NULL;
}

bool mcp__ecma_property(const char *text, size_t len, bool inverted, char out[MCP__ECMA_PROPERTY_BYTES]) {
  char name[MCP__ECMA_PROPERTY_BYTES - 8] = "";
  if (len >= sizeof name || memchr(text, '\0', len) != NULL)
    return false;
  memcpy(name, text, len);
  const char *category = value_of(name, "General_Category", "gc");
  const char *script = value_of(name, "Script", "sc"), *extended = value_of(name, "Script_Extensions", "scx");
  const char *found = find_category(category != NULL ? category : name), *prefix = "";
  if (found == NULL && category == NULL && strcmp(name, "Assigned") == 0) {
    found = "Cn";
    inverted = !inverted;
  } else if (found == NULL && category == NULL) {
    found = find_binary(name);
  }
  if (script != NULL || extended != NULL) {
    prefix = script != NULL ? "sc:" : "scx:";
    found = script != NULL ? script : extended;
    if (!is_like_script(found))
      return false;
  }
  if (found != NULL)
    snprintf(out, MCP__ECMA_PROPERTY_BYTES, "\\%c{%s%s}", inverted ? 'P' : 'p', prefix, found);
  return found != NULL;
}
