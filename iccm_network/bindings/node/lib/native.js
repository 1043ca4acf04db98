"use strict";
// The addon. Its functions return the library's codes and throw only if they cannot
// create a server or client, with the text of mcp_last_error().
module.exports = require("../iccm_network.node");
