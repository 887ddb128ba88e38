"""What a job may use of the machine it runs on: its memory and its GPUs, where a scheduler of jobs gave it a part."""

from __future__ import annotations

import os

import torch

__all__ = ["MEMORY_VARIABLE", "job_memory", "visible_gpus"]

MEMORY_VARIABLE = "IGC_JOB_MEMORY"
"""Megabytes of the job, from the workflow: steps of a SLURM job are not told how much memory the job has."""
MEGABYTE = 1 << 20


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0


def job_memory() -> int:
    """Return the memory of this job.

    Returns
    -------
    int
        Bytes: the least of what the workflow, SLURM, the control group and the machine say. SLURM's 0 means all.
    """
    from distributed.system import MEMORY_LIMIT  # takes a quarter of a second

    by_core = _number("SLURM_MEM_PER_CPU") * max(1, _number("SLURM_CPUS_ON_NODE"))
    limits = [_number(MEMORY_VARIABLE), _number("SLURM_MEM_PER_NODE"), by_core]
    return min([int(MEMORY_LIMIT), *(limit * MEGABYTE for limit in limits if limit)])


def visible_gpus() -> list[str]:
    """Return the names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES gives them.

    Returns
    -------
    list of str
        Numbers or UUIDs; empty without a GPU.
    """
    count = torch.cuda.device_count()
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return named[:count] if named else [str(number) for number in range(count)]
