"""What multiplies: the name of the chip on which last digits depend."""

from typing import Any

import torch


def describe_chip(device: torch.device, dtype: str) -> str | None:
    """Return the name of the chip of a device, as far as numbers in ``dtype`` (``fp32``, ``bf16`` …) depend on it.

    Of a GPU that is its name, with its compute capability. Of a CPU it is the instruction sets that torch uses, in half
    precision, where they decide how products are rounded; None in fp32, where they show in the seventh digit alone.
    """
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"{torch.cuda.get_device_name(device)} (sm_{major}{minor})"
    if device.type == "mps":
        return "Apple GPU"
    return None if dtype == "fp32" else ", ".join(list_instruction_sets())


def list_instruction_sets() -> list[str]:
    """Return the instruction sets of this CPU that torch's products use: AVX2 or AVX512, and those for bf16."""
    cpu: Any = torch.cpu
    probes = {"AVX512_BF16": "_is_avx512_bf16_supported", "AMX": "_is_amx_tile_supported"}
    extensions = [name for name, probe in probes.items() if bool(getattr(cpu, probe, lambda: False)())]
    return [torch.backends.cpu.get_cpu_capability(), *extensions]
