"""Fetches every table of tiktoken into TIKTOKEN_CACHE_DIR, so that plugins count tokens without network."""

import tiktoken

for name in tiktoken.list_encoding_names():
    encoding = tiktoken.get_encoding(name)
    print(f"{name}: {encoding.n_vocab} tokens")
