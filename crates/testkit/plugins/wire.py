"""The protocol without the SDK, for programs that are given to `plugins::program`."""

import sys
import threading
import time

one_at_a_time = threading.Lock()


def write(lines):
    with one_at_a_time:
        sys.stdout.write(lines)
        sys.stdout.flush()


def line(session_id, kind, data):
    return f'{{"event":"session","session_id":"{session_id}","data":{{"type":"{kind}","data":{data}}}}}\n\n'


def beat():
    """Gives a sign of life every ten seconds, from a thread of its own."""
    threading.Thread(target=beats, daemon=True).start()


def beats():
    while True:
        write('{"event":"heartbeat","session_id":null,"data":{}}\n\n')
        time.sleep(10)
