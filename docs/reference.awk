# A header as Doxygen wants it, whose comments are plain ones: awk -f reference.awk iccm_network.h
#
# A comment documents all declarations that follow it up to the next blank line; one that a blank line follows is about
# a section and stays plain; one behind code is about that code. The error codes, which a macro makes, are written out.

function marked(text) { # "/* " to "/** ", and what Doxygen would read as its own made literal
    sub(/\/\*/, "/**", text)
    gsub(/\\/, "&&", text)
    gsub(/<[a-z.]+>/, "\\\\&", text)
    gsub(/[ (]#/, "&\\#", text)
    gsub(/#\\#/, "\\#", text)
    gsub(/ *----+ */, " ", text)
    return text
}

function declaration(line) {
    if (line ~ /^ *(#(ifdef|if|else|endif|include|define ICCM_[A-Z]+_H)|extern "C"|[{}])/) {
        ended = ended || line ~ /^ *#/
        return line
    }
    behind = index(line, "/*")
    starts = ended
    code = behind > 0 ? substr(line, 1, behind - 1) : line
    open += gsub(/\(/, "", code) - gsub(/\)/, "", code)
    ended = open == 0 && line !~ /\\$/ && (line ~ /[;{,]$/ || line ~ /^#define/ || behind > 0)
    if (behind > 0)
        return substr(line, 1, behind - 1) "/**<" marked(substr(line, behind + 2))
    return starts && doc != "" ? doc "\n" line : line
}

function documented(line) {
    if (files++ == 0) {
        comment = marked(comment)
        sub(/\/\*\*/, "/** @file", comment)
        print comment
    } else if (line == "")
        print comment
    else
        doc = marked(comment)
    comment = ""
    ended = 1
}

inside { comment = comment "\n" $0; inside = $0 !~ /\*\/$/; next }
trailing { print marked($0); trailing = $0 !~ /\*\//; next }
/^ *\/\*/ { comment = $0; inside = $0 !~ /\*\/$/; next }
comment != "" { documented($0) }
/^$/ { doc = ""; print; next }
/^  X\(MCP_/ {
    split($0, part, /^  X\(|, |"/)
    text = $0
    sub(/^[^"]*"/, "", text)
    sub(/"\).*$/, "", text)
    codes = codes "  " part[2] " = " (part[3] ~ /^E/ ? "-" : "") part[3] ", /**< " text " */\n"
}
/MCP_ERROR_ENUM$|define MCP_ERROR_ENUM/ { next }
/^  MCP_(SYSTEM_)?ERROR_MAP\(/ { printf "%s", codes; codes = ""; ended = 1; next }
{ print declaration($0); trailing = /[^ ].*\/\*/ && !/\*\// }
