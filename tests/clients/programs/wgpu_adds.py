"""20 buffers written, copied and read by wgpu: its allocator maps one block, once, for all of them."""

import numpy as np
import wgpu

adapter = wgpu.gpu.request_adapter_sync(power_preference="high-performance")
device = adapter.request_device_sync()
total = 0
for _ in range(20):
    source = device.create_buffer_with_data(data=np.ones(4096, np.uint8), usage=wgpu.BufferUsage.COPY_SRC)
    total += sum(device.queue.read_buffer(source))
print("sum", total)
