/* The reference as a program of its own: opens the first device that can, allocates host-visible memory, and prints
 * ns per pair of each way to map.
 * Usage: reference BYTES MILLISECONDS
 */
#define _GNU_SOURCE
#include "device.h"

/* Slices of some 2 ms for as long as asked; the median slice's ns per pair. */
static double median_of_slices(const char *api, void *map, void *unmap, uint64_t device, uint64_t memory, uint64_t ms)
{
    enum { MOST = 4096 };
    static double slice[MOST];
    uint64_t pairs = 256, spent = 0, slices = 0;
    while (spent < ms * 1000000 && slices < MOST) {
        uint64_t ns = api[0] == 'v' ? reference_pairs1((map1_fn *)(uintptr_t)map, (unmap1_fn *)(uintptr_t)unmap, device,
                                                       memory, pairs)
                                    : reference_pairs2((map2_fn *)(uintptr_t)map, (unmap2_fn *)(uintptr_t)unmap, device,
                                                       memory, pairs);
        if (!ns)
            return 0;
        spent += ns;
        if (ns < 2000000)
            pairs *= 2;
        else
            slice[slices++] = (double)ns / (double)pairs;
    }
    for (uint64_t i = 1; i < slices; i++)
        for (uint64_t j = i; j && slice[j] < slice[j - 1]; j--) {
            double swapped = slice[j];
            slice[j] = slice[j - 1];
            slice[j - 1] = swapped;
        }
    return slices ? slice[slices / 2] : 0;
}

int main(int count, char **arguments)
{
    uint64_t bytes = count > 1 ? strtoull(arguments[1], NULL, 10) : 65536;
    uint64_t ms = count > 2 ? strtoull(arguments[2], NULL, 10) : 500;
    uint32_t memory_type = 0;
    open_loader();
    void *instance = open_instance(), *device = open_device(choose(instance, &memory_type));
    uint64_t memory = allocate(device, bytes, memory_type), handle = (uint64_t)(uintptr_t)device;
    proc_fn proc = (proc_fn)(uintptr_t)need("vkGetDeviceProcAddr");
    const char *names[2][3] = {{"v1", "vkMapMemory", "vkUnmapMemory"}, {"core", "vkMapMemory2", "vkUnmapMemory2"}};
    for (int i = 0; i < 2; i++) {
        void *map = proc(device, names[i][1]), *unmap = proc(device, names[i][2]);
        if (map && unmap)
            printf("%s %.3f\n", names[i][0], median_of_slices(names[i][0], map, unmap, handle, memory, ms));
    }
    return 0;
}
