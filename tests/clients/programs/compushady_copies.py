"""200 uploads and readbacks by compushady, which maps and unmaps for each."""

from compushady import HEAP_READBACK, HEAP_UPLOAD, Buffer

upload, readback = Buffer(65536, HEAP_UPLOAD), Buffer(65536, HEAP_READBACK)
device_side = Buffer(65536)
for i in range(200):
    upload.upload(bytes([i]) * 65536)
    upload.copy_to(device_side)
    device_side.copy_to(readback)
    last = readback.readback(1)
print("last", last[0])
