"""The floor of any gRPC service in Python: a grpc.aio server that parses a request and serialises a ready answer.

It answers each method of the contract with the message it was given at start, so that a call costs exactly what gRPC and
protobuf cost for the same bytes. It runs as a process of its own: `python bench/echo.py ANSWERS`, where ANSWERS is a file
that `save_answers` wrote; it prints its port.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from bridge.services import family_modules


def save_answers(path: Path, answers: dict[str, Message]) -> None:
    """Write the answer of each method, by its name with the size, `NpcService/ChooseActions`."""
    path.write_text(json.dumps({name: base64.b64encode(m.SerializeToString()).decode() for name, m in answers.items()}))


async def main(path: Path) -> None:
    """Serve until the parent process closes standard input."""
    answers = {name: base64.b64decode(text) for name, text in json.loads(path.read_text()).items()}
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
    for module in family_modules().values():
        messages = sys.modules[module.pb.__name__]
        handlers = {}
        for method in module.DESCRIPTOR.methods:
            name = f"{module.DESCRIPTOR.name}/{method.name}"
            if name in answers:
                answer = getattr(messages, method.output_type.name).FromString(answers[name])
                request = getattr(messages, method.input_type.name)
                handlers[method.name] = grpc.unary_unary_rpc_method_handler(
                    _reply(answer), request.FromString, type(answer).SerializeToString
                )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(module.DESCRIPTOR.full_name, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


def _reply(answer: Message) -> Callable[[Any, Any], Awaitable[Message]]:
    async def reply(request: Any, context: Any) -> Message:
        return answer

    return reply


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
