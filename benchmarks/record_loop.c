/* A program that does nothing but map and unmap: what `record` costs a call at worst, and whether it loses any.
 * Prints the median slice's ns per call; a slice is short, so that most of them are not interrupted.
 * Usage: record_loop CALLS   (vkMapMemory and vkUnmapMemory, half of each)
 */
#define _GNU_SOURCE
#include "device.h"

enum { PAIRS = 500 }; /* of a slice */

static int by_size(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

int main(int count, char **arguments)
{
    uint64_t slices = (count > 1 ? strtoull(arguments[1], NULL, 10) : 10000000) / 2 / PAIRS;
    double *slice = slices ? calloc(slices, sizeof *slice) : NULL;
    uint32_t memory_type = 0;
    if (!slice)
        return 2;
    open_loader();
    void *instance = open_instance(), *device = open_device(choose(instance, &memory_type));
    uint64_t memory = allocate(device, 65536, memory_type), handle = (uint64_t)(uintptr_t)device;
    proc_fn proc = (proc_fn)(uintptr_t)need("vkGetDeviceProcAddr");
    map1_fn *map = (map1_fn *)(uintptr_t)proc(device, "vkMapMemory");
    unmap1_fn *unmap = (unmap1_fn *)(uintptr_t)proc(device, "vkUnmapMemory");
    for (uint64_t i = 0; i < slices; i++)
        slice[i] = (double)reference_pairs1(map, unmap, handle, memory, PAIRS) / (2 * PAIRS);
    qsort(slice, slices, sizeof *slice, by_size);
    printf("%.3f\n", slice[slices / 2]);
    return slice[0] > 0 ? 0 : 4;
}
