"""Fiedler: an MCP component that asks several language models the same question. See README.md."""
