

# The rest of this file is added by the plugin daemon: requests are read in large blocks and each byte is looked at once.
def _read_blocks(self):
    import gevent

    begun = []
    while True:
        block = tp_read(sys.stdin.fileno(), 65536)
        if not block:
            gevent.sleep(0.1)
            continue
        first, *others = block.split(b"\n")
        begun.append(first)
        if not others:
            continue
        *complete, last = [b"".join(begun), *others]
        begun = [last]
        for line in complete:
            if not line:
                continue
            try:
                message = loads(line)
                event = PluginInStream(
                    session_id=message["session_id"],
                    event=PluginInStreamEvent.value_of(message["event"]),
                    data=message["data"],
                    reader=self,
                    writer=StdioResponseWriter(),
                )
            except Exception as error:
                StdioResponseWriter().error(data={"error": str(error)})
            else:
                yield event


StdioRequestReader._read_stream = _read_blocks
