"""Messages that nearly are what they should be: spoilt by their fields, by the bytes of their wire format, or as JSON."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import Message

MANY = 2_000
TEXTS = ("", "\0", "x" * 5000, "ünïcødé\n%0A", "../../etc/passwd", "null", "-1", "9" * 400, "\ud7ff\ue000\U0010ffff", "nan")
NUMBERS = (0.0, -0.0, math.nan, math.inf, -math.inf, 1e-45, 3.4e38, -3.4e38, 5e-324, 1.7e308, 1.0, -1.0, 0.5)
BOUNDS = {
    Field.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    Field.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
    Field.CPPTYPE_UINT32: (0, 2**32 - 1),
    Field.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    Field.CPPTYPE_UINT64: (0, 2**64 - 1),
}
Rng = random.Random


def mutate(seed: Message, rng: Rng) -> tuple[str, bytes]:
    """Return how a good message was spoilt, and its bytes: one to three steps on its fields, its bytes, or both."""
    kind = rng.choice(("fields", "fields", "wire", "fields and wire", "random"))
    if kind == "random":
        return kind, rng.randbytes(rng.choice((0, 1, 2, 5, 17, 200, 3000)))
    message = type(seed).FromString(seed.SerializeToString())
    if kind.startswith("fields"):
        for _ in range(rng.randint(1, 3)):
            spoil_field(message, rng)
    data = message.SerializeToString()
    if kind.endswith("wire"):
        for _ in range(rng.randint(1, 3)):
            data = rng.choice(WIRE)(data, rng)
    return kind, data


def mutate_json(seed: Message, rng: Rng) -> bytes:
    """Return a good message as JSON with one to three of its values, or of its bytes, exchanged."""
    root = [json_format.MessageToDict(seed)]
    for _ in range(rng.randint(1, 3)):
        places = list(_places(root))
        holder, key = rng.choice(places)
        odd = [None, True, [], {}, [[]] * 3, {"a": 1}, 2**70, -1, 1e400, rng.choice(TEXTS), deep(rng), rng.choice(NUMBERS)]
        holder[key] = rng.choice(odd)
        if isinstance(holder, dict) and rng.random() < 0.3:
            holder[rng.choice(TEXTS)] = holder.pop(key)
    data = json.dumps(root[0]).encode()
    return rng.choice(WIRE)(data, rng) if rng.random() < 0.3 else data


def deep(rng: Rng) -> Any:
    """Return lists in lists."""
    value: Any = 0
    for _ in range(rng.choice((3, 90, 150))):
        value = [value]
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in range(len(value)) if isinstance(value, list) else list(value):
        yield value, key
        if isinstance(value[key], (list, dict)):
            yield from _places(value[key])


def spoil_field(message: Message, rng: Rng) -> None:
    """Change one field somewhere in a message, also one that is not set."""
    inner = [part for _, part in messages(message)]
    where = rng.choice(inner)
    if not where.DESCRIPTOR.fields:
        return None
    field = rng.choice(where.DESCRIPTOR.fields)
    if where.DESCRIPTOR.name == "Tensor" and rng.random() < 0.7:
        return _spoil_tensor(where, rng)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _spoil_map(getattr(where, field.name), field, rng)
    if field.is_repeated:
        return _spoil_list(getattr(where, field.name), field, rng)
    if field.cpp_type != Field.CPPTYPE_MESSAGE:
        setattr(where, field.name, scalar(field, rng))
        return None
    part, same = getattr(where, field.name), [other for other in inner if other.DESCRIPTOR is field.message_type]
    if rng.random() < 0.4:
        where.ClearField(field.name)
    elif same and rng.random() < 0.5:
        part.CopyFrom(type(part).FromString(rng.choice(same).SerializeToString()))
    else:
        part.SetInParent()
        spoil_field(part, rng)
    return None


def messages(message: Message) -> Iterator[tuple[str, Message]]:
    """Yield a message and all messages in it."""
    yield message.DESCRIPTOR.name, message
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for part in value if field.is_repeated else (value,):
            yield from messages(part)


def scalar(field: Field, rng: Rng) -> Any:
    """Return a value at the edge of a field's type, or any other."""
    if field.cpp_type in (Field.CPPTYPE_FLOAT, Field.CPPTYPE_DOUBLE):
        value = rng.choice((*NUMBERS, rng.gauss(0, 100)))
        return (
            value if field.cpp_type == Field.CPPTYPE_DOUBLE else max(min(value, 3.4e38), -3.4e38) if value == value else value
        )
    if field.cpp_type == Field.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if field.type == Field.TYPE_BYTES:
        return rng.randbytes(rng.choice((0, 1, 7, 64, 5000)))
    if field.cpp_type == Field.CPPTYPE_STRING:
        return rng.choice(TEXTS)
    low, high = BOUNDS[field.cpp_type]
    return rng.choice((low, high, 0, 1, high // 2, min(high, 77), max(low, -1), rng.randint(low, high), rng.randint(0, 9)))


def _spoil_list(values: Any, field: Field, rng: Rng) -> None:
    act = rng.choice(("clear", "one more", "one less", "many", "change"))
    if act == "clear":
        del values[:]
    elif field.cpp_type == Field.CPPTYPE_MESSAGE:
        if act == "change" and len(values):
            spoil_field(rng.choice(values), rng)
        elif act == "one less" and len(values):
            del values[rng.randrange(len(values))]
        elif values:
            values.extend([values[0]] * (MANY if act == "many" else 1))
        else:
            values.add()
    elif act == "one less" and len(values):
        del values[rng.randrange(len(values))]
    elif act == "change" and len(values):
        values[rng.randrange(len(values))] = scalar(field, rng)
    else:
        values.extend([scalar(field, rng)] * (MANY if act == "many" else 1))


def _spoil_map(values: Any, field: Field, rng: Rng) -> None:
    entry = field.message_type.fields_by_name
    key = scalar(entry["key"], rng)
    if entry["value"].cpp_type == Field.CPPTYPE_MESSAGE:
        spoil_field(values[key], rng)
    else:
        values[key] = scalar(entry["value"], rng)


def _spoil_tensor(tensor: Any, rng: Rng) -> None:
    act = rng.choice(("dtype", "axis", "size", "turn", "cut", "grow", "numbers"))
    if act == "dtype":
        tensor.dtype = rng.choice((*range(14), 77, -1))
    elif act == "axis":
        tensor.shape.extend([rng.choice((0, 1, -1, 2**62))] * rng.choice((1, 3, 40)))
    elif act == "size" and len(tensor.shape):
        tensor.shape[rng.randrange(len(tensor.shape))] = rng.choice((0, 1, -1, 2, 2**31, 2**62, 2**63 - 1, -(2**63)))
    elif act == "turn":
        tensor.shape[:] = tensor.shape[::-1]
    elif act == "cut":
        tensor.data = tensor.data[: rng.randint(0, len(tensor.data))]
    elif act == "grow":
        tensor.data = tensor.data + rng.randbytes(rng.choice((1, 4, 1000)))
    else:
        data = bytearray(tensor.data)
        for _ in range(rng.randint(1, 5)):
            if len(data) >= 4:
                struct.pack_into("<f", data, 4 * rng.randrange(len(data) // 4), max(min(rng.choice(NUMBERS), 3.4e38), -3.4e38))
        tensor.data = bytes(data)


def _cut(data: bytes, rng: Rng) -> bytes:
    return data[: rng.randint(0, len(data))]


def _flip(data: bytes, rng: Rng) -> bytes:
    spoilt = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if spoilt:
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def _insert(data: bytes, rng: Rng) -> bytes:
    place = rng.randint(0, len(data))
    return data[:place] + rng.randbytes(rng.choice((1, 2, 9))) + data[place:]


def _remove(data: bytes, rng: Rng) -> bytes:
    place = rng.randint(0, len(data))
    return data[:place] + data[place + rng.choice((1, 2, 9)) :]


def _repeat(data: bytes, rng: Rng) -> bytes:
    return data * rng.choice((2, 3, 20))


def _inflate(data: bytes, rng: Rng) -> bytes:
    """Write a byte that is a whole varint with more bytes than it needs, or more than a varint may have."""
    place = rng.randint(0, max(len(data) - 1, 0))
    if not data or data[place] & 0x80:
        return data + b"\x80" * 11
    return data[:place] + bytes([data[place] | 0x80]) + b"\x80" * rng.choice((0, 3, 7, 8, 12)) + b"\0" + data[place + 1 :]


def _huge_length(data: bytes, rng: Rng) -> bytes:
    """Add a field of length-delimited bytes that claims far more than there is."""
    length = rng.choice(
        (b"\xff\xff\xff\x07", b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x80\x80\x80\x02")
    )
    return data + bytes([rng.randint(1, 15) << 3 | 2]) + length + b"abc"


def _other_type(data: bytes, rng: Rng) -> bytes:
    """Give a byte that may be a tag another wire type, the reserved ones too."""
    place = rng.randint(0, max(len(data) - 1, 0))
    return data[:place] + bytes([(data[place] & 0xF8) | rng.randrange(8)]) + data[place + 1 :] if data else b"\x0f"


def _unknown(data: bytes, rng: Rng) -> bytes:
    """Add a field that no contract has."""
    tag = rng.choice((b"\xfa\xff\xff\xff\x0f", b"\x82\x7d", b"\x02"))
    return data + tag + b"\x03abc"


def _nested(data: bytes, rng: Rng) -> bytes:
    """Put groups in groups, or messages in messages, to a depth that parsers have an end at."""
    depth = rng.choice((5, 99, 101, 5000))
    number = rng.randint(1, 15)
    if rng.random() < 0.5:
        return data + bytes([number << 3 | 3]) * depth + bytes([number << 3 | 4]) * depth
    inner = data[:50]
    for _ in range(min(depth, 300)):
        inner = bytes([number << 3 | 2]) + varint(len(inner)) + inner
    return inner


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


WIRE: tuple[Callable[[bytes, Rng], bytes], ...] = (
    _cut,
    _flip,
    _insert,
    _remove,
    _repeat,
    _inflate,
    _huge_length,
    _other_type,
    _unknown,
    _nested,
)
