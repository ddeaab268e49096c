"""The floor of any gRPC service in Python: a grpc.aio server that parses a request and serialises a ready answer.

It answers each method of the contract with the message it was given at start, so that a call costs exactly what gRPC and
protobuf cost for the same bytes. It runs as a process of its own: `python bench/echo.py ANSWERS [asyncio | uvloop | threads]`,
where ANSWERS is a file that `save_answers` wrote; it prints its port.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from bridge.services import family_modules


def save_answers(path: Path, answers: dict[str, Message]) -> None:
    """Write the answer of each method, by its name with the size, `NpcService/ChooseActions`."""
    path.write_text(json.dumps({name: base64.b64encode(m.SerializeToString()).decode() for name, m in answers.items()}))


OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
THREADS = 8


async def serve_async(path: Path) -> None:
    """Serve with grpc.aio until the parent process closes standard input."""
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers(_handlers(path, _reply))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


def serve_threads(path: Path) -> None:
    """Serve with grpc's threads until the parent process closes standard input."""
    server = grpc.server(ThreadPoolExecutor(THREADS), options=OPTIONS)
    server.add_generic_rpc_handlers(_handlers(path, lambda answer: lambda request, context: answer))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(0).wait()


def _handlers(path: Path, reply: Callable[[Message], Any]) -> tuple[grpc.GenericRpcHandler, ...]:
    answers = {name: base64.b64decode(text) for name, text in json.loads(path.read_text()).items()}
    services = []
    for module in family_modules().values():
        messages = sys.modules[module.pb.__name__]
        handlers = {}
        for method in module.DESCRIPTOR.methods:
            name = f"{module.DESCRIPTOR.name}/{method.name}"
            if name in answers:
                answer = getattr(messages, method.output_type.name).FromString(answers[name])
                request = getattr(messages, method.input_type.name)
                handlers[method.name] = grpc.unary_unary_rpc_method_handler(
                    reply(answer), request.FromString, type(answer).SerializeToString
                )
        services.append(grpc.method_handlers_generic_handler(module.DESCRIPTOR.full_name, handlers))
    return tuple(services)


def _reply(answer: Message) -> Callable[[Any, Any], Awaitable[Message]]:
    async def reply(request: Any, context: Any) -> Message:
        return answer

    return reply


def main(path: Path, kind: str) -> None:
    """Serve in the way that `kind` names."""
    if kind == "threads":
        serve_threads(path)
    elif kind == "uvloop":
        import uvloop

        uvloop.run(serve_async(path))
    else:
        asyncio.run(serve_async(path))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "asyncio")
