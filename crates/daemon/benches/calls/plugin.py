"""A plugin without the SDK: answers with chunks, or calls back and tells how long that took."""

import http.client
import json
import os
import queue
import sys
import threading
import time

from wire import beat, line, write

CHUNK = json.dumps({
    "model": "m", "prompt_messages": [], "system_fingerprint": None,
    "delta": {"index": 0, "message": {"role": "assistant", "content": "word " * 8, "tool_calls": []}},
})
waiting = {}


def stream(session_id, count):
    chunk = line(session_id, "stream", CHUNK)
    for _ in range(count):
        write(chunk)


def call_back(session_id, number):
    answers = waiting[str(number)] = queue.SimpleQueue()
    invoke = {"type": "upload_file", "backwards_request_id": str(number),
              "request": {"filename": "a.txt", "mimetype": "text/plain"}}
    write(line(session_id, "invoke", json.dumps(invoke)))
    answer = answers.get()
    assert answer["event"] == "response" and answer["data"]["url"], answer
    assert answers.get()["event"] == "end"
    del waiting[str(number)]


def call_dify(connection, _):
    connection.request("POST", "/inner/api/upload/file/request", '{"filename":"a.txt","mimetype":"text/plain"}',
                       {"Content-Type": "application/json"})
    assert json.loads(connection.getresponse().read())["data"]["url"]


def microseconds(call, argument, count):
    taken = []
    for number in range(count):
        began = time.perf_counter()
        call(argument, number)
        taken.append((time.perf_counter() - began) * 1e6)
    taken.sort()
    return {"p50": taken[count // 2], "p99": taken[count * 99 // 100]}


def round_trips(session_id, asked):
    connection = http.client.HTTPConnection(asked["dify"])
    measured = {
        "through the daemon": microseconds(call_back, session_id, asked["count"]),
        "directly": microseconds(call_dify, connection, asked["count"]),
    }
    message = {"type": "json", "message": {"json_object": measured}, "meta": None}
    write(line(session_id, "stream", json.dumps(message)))


def answer(request):
    session_id, data = request["session_id"], request["data"]
    if data["action"] == "invoke_llm":
        stream(session_id, data["model_parameters"]["count"])
    else:
        round_trips(session_id, data["tool_parameters"])
    write(line(session_id, "end", "{}"))


beat()
for text in sys.stdin:
    message = json.loads(text)
    if message["event"] == "request":
        threading.Thread(target=answer, args=(message,), daemon=True).start()
    elif message["data"]["backwards_request_id"] in waiting:
        waiting[message["data"]["backwards_request_id"]].put(message["data"])
os._exit(0)
