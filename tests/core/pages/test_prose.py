"""Sentences with commands on pages: code is marked, and nothing of a text becomes HTML by itself."""

from voxtile.pages import prose


def test_backticks_are_code_and_all_else_is_escaped():
    assert prose("Build it with `voxtile build busi`.") == "Build it with <code>voxtile build busi</code>."
    assert prose("`<script>` & 5 ` 6") == "<code>&lt;script&gt;</code> &amp; 5 ` 6"
