"""100 kernels that taichi launches with an array of the program's: each is mapped to be written, and to be read."""

import numpy as np
import taichi as ti

ti.init(arch=ti.vulkan, log_level=ti.ERROR, offline_cache=False)


@ti.kernel
def add_one(values: ti.types.ndarray(dtype=ti.i32, ndim=1)):
    for i in values:
        values[i] += 1


array = np.zeros(1024, dtype=np.int32)
for _ in range(100):
    add_one(array)
print("sum", int(array.sum()))
