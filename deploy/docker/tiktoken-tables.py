"""Fetches tables of tiktoken into TIKTOKEN_CACHE_DIR, so that plugins count tokens without network: those that are named, or all."""

import sys

import tiktoken

for name in tiktoken.list_encoding_names() if sys.argv[1:] == ["all"] else sys.argv[1:]:
    encoding = tiktoken.get_encoding(name)
    print(f"{name}: {encoding.n_vocab} tokens")
