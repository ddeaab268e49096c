"""Training by several processes (torchrun): each takes a part of every batch, and gradients are averaged.

All processes draw the same random numbers for the whole batch and pick their part, so that the number of processes
changes the result only by the order of summation, and a run can go on with another number of them. Gradients are
averaged after each backward pass instead of by DistributedDataParallel's hooks: the two players share graphs, and the
penalties leave some weights without a gradient.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Iterator

import torch
import torch.distributed as dist
from torch import Tensor

STDDEV_GROUP = 4
"""Pictures in a group of the minibatch standard deviation."""


@contextlib.contextmanager
def processes(device: str) -> Iterator[str]:
    """Joins the processes that torchrun started, if it did, and yields this process's device.

    CUDA devices talk through NCCL, and each process takes the one of its local rank; CPUs talk through gloo.
    Raises ValueError for a device that is not there.
    """
    check_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    cuda = device.split(":")[0] == "cuda"
    mine = f"cuda:{os.environ['LOCAL_RANK']}" if cuda else device
    if cuda:
        torch.cuda.set_device(mine)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield mine
    finally:
        dist.destroy_process_group()


def check_device(device: str) -> None:
    """Raises ValueError when PyTorch cannot put numbers on a device and take them back."""
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).split(" at start of device string")[0].split(". ")[0].splitlines()[0]
        raise ValueError(f'device "{device}" cannot be used: {reason}; use cpu, or cuda where PyTorch sees a GPU') from error


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number; 0 writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def total(value: Tensor) -> Tensor:
    """The sum of a tensor over all processes."""
    if world() == 1:
        return value.clone()
    summed = value.to("cuda") if dist.get_backend() == "nccl" else value.clone()
    dist.all_reduce(summed)
    return summed.to(value.device)


def mean(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes."""
    return total(value) / world()


def any_process(*flags: bool) -> list[bool]:
    """Which of the flags are set in any process; the same answer in all of them."""
    return [bool(value) for value in total(torch.tensor(flags, dtype=torch.float32)).tolist()]


@contextlib.contextmanager
def first_process_first() -> Iterator[None]:
    """Runs what is inside in process 0 and then in the others, so that they find its files."""
    if rank() and world() > 1:
        dist.barrier()
    yield
    if not rank() and world() > 1:
        dist.barrier()


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replaces every gradient by its mean over all processes, which take the same step and so have the same gradients."""
    if world() == 1:
        return
    trained = [parameter for parameter in parameters if parameter.grad is not None]
    flat = mean(torch.cat([parameter.grad.flatten() for parameter in trained]))
    for parameter, gradient in zip(trained, flat.split([parameter.numel() for parameter in trained]), strict=True):
        parameter.grad.copy_(gradient.reshape(parameter.shape))


def part_of_batch(batch: int, part: int, parts: int) -> Tensor:
    """Which pictures of a batch one of its parts has: int64 [batch / parts].

    The groups of the minibatch standard deviation stay whole where a part is a multiple of four pictures: then the parts
    together give exactly the statistics of the whole batch.
    """
    group = math.gcd(STDDEV_GROUP, batch // parts)
    return torch.arange(batch).reshape(group, parts, -1)[:, part].flatten()
