

# The rest of this file is added by the plugin daemon: counting GPT-2 tokens must not block the event loop.
_counting_threads = None


def _count_gpt2_tokens(self, text):
    if len(text) >= 100_000:
        return len(text)

    def count():
        import tiktoken

        return len(tiktoken.encoding_for_model("gpt2").encode(text))

    import socket

    import gevent.socket

    if socket.socket is not gevent.socket.socket:
        return count()

    global _counting_threads
    if _counting_threads is None:
        from gevent.threadpool import ThreadPool

        _counting_threads = ThreadPool(1)
    return _counting_threads.spawn(count).get()


AIModel._get_num_tokens_by_gpt2 = _count_gpt2_tokens
