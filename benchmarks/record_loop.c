/* A program that does nothing but map and unmap: what `record` costs a call at worst, and whether it loses any.
 * Prints the median slice's ns per call.
 * Usage: record_loop CALLS   (vkMapMemory and vkUnmapMemory, half of each)
 */
#define _GNU_SOURCE
#include "device.h"

int main(int count, char **arguments)
{
    enum { SLICES = 100 };
    double slice[SLICES];
    uint64_t pairs = (count > 1 ? strtoull(arguments[1], NULL, 10) : 10000000) / 2 / SLICES;
    uint32_t memory_type = 0;
    open_loader();
    void *instance = open_instance(), *device = open_device(choose(instance, &memory_type));
    uint64_t memory = allocate(device, 65536, memory_type), handle = (uint64_t)(uintptr_t)device;
    proc_fn proc = (proc_fn)(uintptr_t)need("vkGetDeviceProcAddr");
    map1_fn *map = (map1_fn *)(uintptr_t)proc(device, "vkMapMemory");
    unmap1_fn *unmap = (unmap1_fn *)(uintptr_t)proc(device, "vkUnmapMemory");
    for (int i = 0; i < SLICES; i++) {
        double each = (double)reference_pairs1(map, unmap, handle, memory, pairs) / (double)(pairs ? pairs * 2 : 1);
        int place = i;
        for (; place && slice[place - 1] > each; place--)
            slice[place] = slice[place - 1];
        slice[place] = each;
    }
    printf("%.3f\n", slice[SLICES / 2]);
    return slice[0] > 0 ? 0 : 4;
}
