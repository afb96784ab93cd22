// 200 readbacks by Dawn: a buffer is made, mapped and destroyed for each, and its memory is freed while it is mapped.
// Usage: node dawn_readbacks.mjs ENTRY   (the module `webgpu`)
const { create, globals } = await import(process.argv[2]);
Object.assign(globalThis, globals);
globalThis.gpu = create(["backend=vulkan"]); // Dawn crashes once it is collected
const adapter = await gpu.requestAdapter();
const device = await adapter.requestDevice();
const size = 1 << 20;
const source = device.createBuffer({ size, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
device.queue.writeBuffer(source, 0, new Uint8Array(size).fill(1));
let sum = 0;
for (let i = 0; i < 200; i++) {
  const read = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, read, 0, size);
  device.queue.submit([encoder.finish()]);
  await read.mapAsync(GPUMapMode.READ);
  sum += new Uint8Array(read.getMappedRange())[size - 1];
  read.destroy();
}
console.log("sum", sum);
