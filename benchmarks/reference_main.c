/* The reference as a program of its own: opens the first device that can, allocates host-visible memory, and prints
 * ns per pair of each way to map. Declares of Vulkan what it needs, so that no headers have to be installed.
 * Usage: reference BYTES MILLISECONDS
 */
#define _GNU_SOURCE
#include "reference.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *(*proc_fn)(void *handle, const char *name);

struct application_info {
    uint32_t type;
    const void *next;
    const char *name;
    uint32_t version;
    const char *engine;
    uint32_t engine_version, api_version;
};
struct instance_info {
    uint32_t type;
    const void *next;
    uint32_t flags;
    const struct application_info *application;
    uint32_t layers;
    const void *layer_names;
    uint32_t extensions;
    const void *extension_names;
};
struct queue_info {
    uint32_t type;
    const void *next;
    uint32_t flags, family, count;
    const float *priorities;
};
struct device_info {
    uint32_t type;
    const void *next;
    uint32_t flags, queues;
    const struct queue_info *queue;
    uint32_t layers;
    const void *layer_names;
    uint32_t extensions;
    const char *const *extension_names;
    const void *features;
};
struct memory_properties {
    uint32_t types;
    struct {
        uint32_t flags, heap;
    } type[32];
    uint32_t heaps;
    struct {
        uint64_t size;
        uint32_t flags;
    } heap[16];
};
enum { HOST_VISIBLE = 2, API_1_4 = 1 << 22 | 4 << 12 };

static void *loader;

/* A function of the loader's. The program ends where there is none. */
static void *need(const char *name)
{
    void *found = dlsym(loader, name);
    if (!found) {
        fprintf(stderr, "no %s\n", name);
        exit(3);
    }
    return found;
}

static void check(const char *call, int32_t result)
{
    if (result) {
        fprintf(stderr, "%s failed: %d\n", call, result);
        exit(3);
    }
}

static void *open_instance(void)
{
    struct application_info application = {.type = 0, .api_version = API_1_4};
    struct instance_info info = {.type = 1, .application = &application};
    void *instance = NULL;
    int32_t (*create)(const void *, const void *, void **) = need("vkCreateInstance");
    check("vkCreateInstance", create(&info, NULL, &instance));
    return instance;
}

/* The first device with host-visible memory; its type in *memory_type. */
static void *choose(void *instance, uint32_t *memory_type)
{
    int32_t (*enumerate)(void *, uint32_t *, void **) = need("vkEnumeratePhysicalDevices");
    void (*memory)(void *, struct memory_properties *) = need("vkGetPhysicalDeviceMemoryProperties");
    void *devices[16];
    uint32_t count = 16;
    check("vkEnumeratePhysicalDevices", enumerate(instance, &count, devices));
    for (uint32_t i = 0; i < count; i++) {
        struct memory_properties properties;
        memory(devices[i], &properties);
        for (uint32_t type = 0; type < properties.types; type++) {
            if (properties.type[type].flags & HOST_VISIBLE) {
                *memory_type = type;
                return devices[i];
            }
        }
    }
    fprintf(stderr, "no device with host-visible memory\n");
    exit(3);
}

static void *open_device(void *physical)
{
    const float priority = 1;
    struct queue_info queue = {.type = 2, .count = 1, .priorities = &priority};
    struct device_info info = {.type = 3, .queues = 1, .queue = &queue};
    int32_t (*create)(void *, const void *, const void *, void **) = need("vkCreateDevice");
    void *device = NULL;
    check("vkCreateDevice", create(physical, &info, NULL, &device));
    return device;
}

static uint64_t allocate(void *device, uint64_t bytes, uint32_t memory_type)
{
    struct allocate_info info = {.type = 5, .size = bytes, .memory_type = memory_type};
    int32_t (*call)(void *, const void *, const void *, uint64_t *) = need("vkAllocateMemory");
    uint64_t memory = 0;
    check("vkAllocateMemory", call(device, &info, NULL, &memory));
    return memory;
}

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
    loader = dlopen("libvulkan.so.1", RTLD_NOW);
    if (!loader) {
        fprintf(stderr, "no libvulkan.so.1\n");
        return 3;
    }
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
