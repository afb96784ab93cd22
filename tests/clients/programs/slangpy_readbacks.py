"""200 readbacks by slangpy: for each, a heap is allocated, mapped, unmapped and freed."""

import numpy as np
import slangpy as spy

device = spy.Device(type=spy.DeviceType.vulkan)
buffer = device.create_buffer(size=65536, usage=spy.BufferUsage.shader_resource)
buffer.copy_from_numpy(np.arange(65536, dtype=np.uint8))
for _ in range(200):
    read = buffer.to_numpy()
print("sum", int(read.view(np.uint8).sum()))
device.close()
