/* What a small program needs to come to a device with host-visible memory through the loader. It ends with status 3
 * where there is none. Declares of Vulkan what it needs, so that no headers have to be installed.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include "reference.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

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

static inline void open_loader(void)
{
    loader = dlopen("libvulkan.so.1", RTLD_NOW);
    if (!loader) {
        fprintf(stderr, "no libvulkan.so.1\n");
        exit(3);
    }
}

/* A function of the loader's. */
static inline void *need(const char *name)
{
    void *found = dlsym(loader, name);
    if (!found) {
        fprintf(stderr, "no %s\n", name);
        exit(3);
    }
    return found;
}

static inline void check(const char *call, int32_t result)
{
    if (result) {
        fprintf(stderr, "%s failed: %d\n", call, result);
        exit(3);
    }
}

static inline void *open_instance(void)
{
    struct application_info application = {.type = 0, .api_version = API_1_4};
    struct instance_info info = {.type = 1, .application = &application};
    void *instance = NULL;
    int32_t (*create)(const void *, const void *, void **) = need("vkCreateInstance");
    check("vkCreateInstance", create(&info, NULL, &instance));
    return instance;
}

/* The first device with host-visible memory; its type in *memory_type. */
static inline void *choose(void *instance, uint32_t *memory_type)
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

static inline void *open_device(void *physical)
{
    const float priority = 1;
    struct queue_info queue = {.type = 2, .count = 1, .priorities = &priority};
    struct device_info info = {.type = 3, .queues = 1, .queue = &queue};
    int32_t (*create)(void *, const void *, const void *, void **) = need("vkCreateDevice");
    void *device = NULL;
    check("vkCreateDevice", create(physical, &info, NULL, &device));
    return device;
}

static inline uint64_t allocate(void *device, uint64_t bytes, uint32_t memory_type)
{
    struct allocate_info info = {.type = 5, .size = bytes, .memory_type = memory_type};
    int32_t (*call)(void *, const void *, const void *, uint64_t *) = need("vkAllocateMemory");
    uint64_t memory = 0;
    check("vkAllocateMemory", call(device, &info, NULL, &memory));
    return memory;
}

#endif
