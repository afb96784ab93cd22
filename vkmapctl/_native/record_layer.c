/* VK_LAYER_VKMAPCTL_record: writes what a program allocates, maps, unmaps, flushes and frees to a ring in shared memory
 * (ring.h), and changes nothing that the program sees.
 *
 * Settings, read from the environment at vkCreateInstance; without them every call passes through unseen:
 *   VKMAPCTL_RECORD         the folder for the ring, PID.ring, and what else is known, PID.devices
 *   VKMAPCTL_RECORD_CLOCK   KIND:MULT of struct vkm_clock
 *   VKMAPCTL_RECORD_EVENTS  capacity of the ring, a power of two
 *
 * The library is never unloaded (-z nodelete) and runs nothing when a thread or the process ends: what it has written
 * is the recorder's already. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "clock.h"
#include "layer_entry.h"
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The recorder, which may have wider pointers, reads this very layout. */
_Static_assert(sizeof(struct vkm_event) == 64 && sizeof(struct vkm_under_way) == 32 &&
                   offsetof(struct vkm_ring, clock_mult) == 32 && offsetof(struct vkm_ring, head) == 120 &&
                   offsetof(struct vkm_ring, tail) == 184 && offsetof(struct vkm_ring, under_way) == 248 &&
                   sizeof(struct vkm_ring) == 3448,
               "the ring has another layout");

#ifndef LAYER_NAME /* for 32-bit programs under a 64-bit recorder it has another */
#define LAYER_NAME "VK_LAYER_VKMAPCTL_record"
#endif
#define GAP_NS 20000
#define SPARE \
    1024 /* events that threads may claim at the same moment, between their look at the room and their claim */
#define AHEAD 8 /* events */

/* The stream of this process */

static struct {
    char folder[4000];
    uint32_t clock_kind, capacity, shift;
    uint64_t clock_mult, gap_ticks, mask, room; /* of the ring: the bits of a place, and how full it may be */
    bool wanted, forked;
    uint16_t devices; /* created so far, those of the process that this one was forked from among them */
    pid_t described_by; /* the process that wrote the last of them to its PID.devices */
    pthread_mutex_t lock;
} stream = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct vkm_ring *ring; /* NULL: nothing is recorded */
static pthread_mutex_t lists = PTHREAD_MUTEX_INITIALIZER; /* of instances and of devices */

/* Of each thread: when its last recorded call ended, and its CPU time at some moment before. */
static __thread struct own {
    struct vkm_ring *ring;
    struct vkm_under_way *under_way;
    uint32_t id;
    uint64_t last_end, read_at, cpu_ns;
} own;

static void complain(const char *what, const char *path)
{
    fprintf(stderr, "vkmapctl: this process is not recorded: cannot %s %s: %s\n", what, path, strerror(errno));
}

static uint64_t ns_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void path_of(char *path, size_t size, const char *suffix)
{
    snprintf(path, size, "%s/%ld.%s", stream.folder, (long)getpid(), suffix);
}

/* As it stands in PID.devices, one after the other, whatever the width of this process's pointers. */
struct described {
    uint32_t placed, reserve;
    uint64_t properties[824 / 8]; /* VkPhysicalDeviceProperties: alike everywhere as far as its name */
    uint32_t type_count;
    struct {
        uint32_t flags, heap;
    } types[32];
    uint32_t heap_count;
    struct {
        uint64_t size;
        uint32_t flags, unused;
    } heaps[16];
};
_Static_assert(sizeof(struct described) == 1352, "the recorder reads descriptions of this size");

static void write_described(const struct described *described)
{
    char path[sizeof stream.folder + 64];
    path_of(path, sizeof path, "devices");
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, described, sizeof *described) != (ssize_t)sizeof *described)
        complain("write", path);
    if (fd >= 0)
        close(fd);
}

/* A forked process counts on from its parent's devices: their descriptions are its own, too. */
static void inherit_described(void)
{
    char path[sizeof stream.folder + 64];
    snprintf(path, sizeof path, "%s/%ld.devices", stream.folder, (long)stream.described_by);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct described described;
    for (unsigned i = 0; i < stream.devices && read(fd, &described, sizeof described) == (ssize_t)sizeof described; i++)
        write_described(&described);
    if (fd >= 0)
        close(fd);
}

/* A child of fork has its parent's ring in its memory, but is a process of its own. */
static void after_fork(void)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    stream.lock = fresh;
    lists = fresh;
    stream.forked = true;
    ring = NULL;
}

/* How many devices the program had that this process ran before it executed this one. */
static uint16_t devices_before(void)
{
    char path[sizeof stream.folder + 64];
    struct stat about;
    path_of(path, sizeof path, "devices");
    return stat(path, &about) ? 0 : (uint16_t)((size_t)about.st_size / sizeof(struct described));
}

/* Reads the settings, and leaves a sign that this process made an instance. */
static void stream_configure(void)
{
    pthread_mutex_lock(&stream.lock);
    const char *folder = getenv("VKMAPCTL_RECORD");
    const char *clock = getenv("VKMAPCTL_RECORD_CLOCK");
    const char *events = getenv("VKMAPCTL_RECORD_EVENTS");
    unsigned kind = 0;
    unsigned long long mult = 0;
    if (!stream.wanted && folder && strlen(folder) < sizeof stream.folder && clock && events &&
        sscanf(clock, "%u:%llu", &kind, &mult) == 2 && mult) {
        strcpy(stream.folder, folder);
        stream.clock_kind = kind;
        stream.clock_mult = mult;
        stream.gap_ticks = ((uint64_t)GAP_NS << 32) / mult;
        stream.capacity = (uint32_t)strtoul(events, NULL, 10);
        stream.mask = stream.capacity - 1;
        stream.room = stream.capacity - SPARE;
        while (stream.capacity >> stream.shift > 1)
            stream.shift++;
        stream.wanted = stream.capacity > 2 * SPARE && (stream.capacity & stream.mask) == 0;
        stream.devices = devices_before();
        stream.described_by = getpid();
        pthread_atfork(NULL, NULL, after_fork);
    }
    if (stream.wanted) {
        char path[sizeof stream.folder + 64];
        path_of(path, sizeof path, "seen");
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0)
            close(fd);
        else
            complain("write", path);
    }
    pthread_mutex_unlock(&stream.lock);
}

/* Shared memory that is there for good, so that no store into it can fail later. */
static struct vkm_ring *new_ring(const char *path, size_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return NULL;
    int refused = posix_fallocate(fd, 0, (off_t)size);
    void *memory = refused ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory != MAP_FAILED)
        return memory;
    errno = refused ? refused : errno;
    unlink(path);
    return NULL;
}

/* That of the program which this process ran before it executed this one: it goes on. */
static struct vkm_ring *old_ring(const char *path, size_t size)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat about;
    void *memory = fd < 0 || fstat(fd, &about) || about.st_size != (off_t)size
                       ? MAP_FAILED
                       : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    return memory != MAP_FAILED ? memory : NULL;
}

static void stream_open(void)
{
    char path[sizeof stream.folder + 64];
    path_of(path, sizeof path, "ring");
    size_t size = VKM_RING_HEAD + stream.capacity * sizeof(struct vkm_event);
    struct vkm_ring *new = new_ring(path, size);
    struct vkm_ring *old = !new && errno == EEXIST ? old_ring(path, size) : NULL;
    if (old) {
        __atomic_store_n(&ring, old, __ATOMIC_RELEASE);
        return;
    }
    if (!new) {
        complain("write", path);
        stream.wanted = false;
        return;
    }
    new->capacity = stream.capacity;
    new->pid = (uint32_t)getpid();
    new->parent = (uint32_t)getppid();
    new->forked = stream.forked;
    new->page_size = (uint32_t)sysconf(_SC_PAGESIZE);
    new->clock_kind = stream.clock_kind;
    new->clock_mult = stream.clock_mult;
    prctl(PR_GET_NAME, new->name);
    new->start_ticks = vkm_ticks_unfenced(stream.clock_kind);
    new->start_ns = ns_of(CLOCK_MONOTONIC);
    __atomic_store_n(&new->magic, VKM_RING_MAGIC, __ATOMIC_RELEASE);
    if (stream.forked && stream.devices)
        inherit_described();
    __atomic_store_n(&ring, new, __ATOMIC_RELEASE);
}

/* Events */

/* Has a line that another core has read made this one's again, before it is written: the claim of the next event waits
 * for all stores before it. */
static inline void will_be_written(const void *line)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)line));
#else
    __builtin_prefetch(line, 1);
#endif
}

static struct vkm_event *claim(struct vkm_ring *to, uint32_t *state)
{
    uint64_t head = __atomic_load_n(&to->head, __ATOMIC_RELAXED);
    if (__builtin_expect(head - __atomic_load_n(&to->tail, __ATOMIC_ACQUIRE) > stream.room, 0)) {
        __atomic_fetch_add(&to->dropped, 1, __ATOMIC_RELAXED);
        return NULL;
    }
    uint64_t index = __atomic_fetch_add(&to->head, 1, __ATOMIC_RELAXED);
    *state = (uint32_t)((index >> stream.shift) + 1) * 2;
    struct vkm_event *events = (struct vkm_event *)((char *)to + VKM_RING_HEAD);
    will_be_written(&events[(index + AHEAD) & stream.mask]);
    return &events[index & stream.mask];
}

/* An event that has ended. */
static inline void put(const struct own *thread, struct vkm_event event)
{
    uint32_t state;
    struct vkm_event *to = claim(thread->ring, &state);
    if (!to)
        return;
    event.state = 0;
    event.thread = thread->id;
    *to = event;
    __atomic_store_n(&to->state, state + 1, __ATOMIC_RELEASE);
}

/* What the thread did since its last recorded call: time off the CPU is taken to lie in the gap. */
static __attribute__((noinline)) void put_gap(struct own *thread, uint64_t now)
{
    uint64_t cpu = ns_of(CLOCK_THREAD_CPUTIME_ID);
    struct vkm_clock clock = {stream.clock_kind, stream.clock_mult};
    if (thread->last_end) {
        uint64_t ticks = vkm_ticks_between(thread->last_end, now), gap = vkm_ticks_to_ns(&clock, ticks);
        uint64_t all = vkm_ticks_to_ns(&clock, vkm_ticks_between(thread->read_at, now)), used = cpu - thread->cpu_ns;
        uint64_t off = all > used ? all - used : 0;
        put(thread, (struct vkm_event){
                        .call = VKM_CALLED_GAP,
                        .begin = thread->last_end,
                        .ticks = ticks,
                        .size = gap > off ? gap - off : 0,
                    });
    }
    thread->read_at = now;
    thread->cpu_ns = cpu;
}

static __attribute__((noinline)) bool thread_begins(struct own *thread)
{
    pthread_mutex_lock(&stream.lock);
    if (!ring && stream.wanted)
        stream_open();
    pthread_mutex_unlock(&stream.lock);
    if (!ring)
        return false;
    static struct vkm_under_way nowhere;
    uint32_t place = __atomic_fetch_add(&ring->threads, 1, __ATOMIC_RELAXED);
    thread->ring = ring;
    thread->under_way = place < VKM_UNDER_WAY ? &ring->under_way[place] : &nowhere;
    thread->id = (uint32_t)syscall(SYS_gettid);
    thread->under_way->thread = thread->id;
    thread->last_end = 0;
    return true;
}

/* A call that is under way; begin is 0 where it is not recorded, event where it has none yet. */
struct call {
    struct own *thread;
    uint64_t begin;
    struct vkm_event *event;
    uint32_t state;
};

static inline struct call begin(enum vkm_called called, uint16_t device, uint64_t object)
{
    struct own *thread = &own;
    struct vkm_ring *to = __atomic_load_n(&ring, __ATOMIC_ACQUIRE);
    if (__builtin_expect(!to || thread->ring != to, 0) && (!stream.wanted || !thread_begins(thread)))
        return (struct call){0};
    uint64_t now = vkm_ticks_unfenced(stream.clock_kind);
    if (__builtin_expect(vkm_ticks_between(thread->last_end, now) > stream.gap_ticks, 0)) {
        put_gap(thread, now);
        now = vkm_ticks_unfenced(stream.clock_kind);
    }
    *thread->under_way = (struct vkm_under_way){thread->id, (uint16_t)(called + 1), device, now, object, 0};
    return (struct call){.thread = thread, .begin = now};
}

static inline void end(struct call call, struct vkm_event event)
{
    if (!call.begin)
        return;
    uint64_t now = vkm_ticks_unfenced(stream.clock_kind);
    call.thread->last_end = now;
    call.thread->under_way->call = 0;
    event.begin = call.begin;
    event.ticks = vkm_ticks_between(call.begin, now);
    put(call.thread, event);
}

/* What gives something back has its place in the order where it begins: what it gives may be another thread's before it
 * returns. All others have theirs where they end. */
static inline struct call giving(enum vkm_called called, uint16_t device, uint64_t object, unsigned marks)
{
    struct call call = begin(called, device, object);
    call.event = call.begin ? claim(call.thread->ring, &call.state) : NULL;
    if (!call.event)
        return call;
    *call.event = (struct vkm_event){
        .call = (uint8_t)called,
        .marks = (uint8_t)marks,
        .device = device,
        .thread = call.thread->id,
        .begin = call.begin,
        .object = object,
    };
    __atomic_store_n(&call.event->state, call.state, __ATOMIC_RELEASE);
    return call;
}

static inline void given(struct call call, VkResult result)
{
    if (!call.begin)
        return;
    uint64_t now = vkm_ticks_unfenced(stream.clock_kind);
    call.thread->last_end = now;
    call.thread->under_way->call = 0;
    if (!call.event)
        return;
    call.event->ticks = vkm_ticks_between(call.begin, now);
    call.event->result = result;
    __atomic_store_n(&call.event->state, call.state + 1, __ATOMIC_RELEASE);
}

/* Instances, and devices. A device is looked for in every call: its entry is never freed, but used again. */

#define INSTANCE_COMMANDS(X) \
    X(DestroyInstance) \
    X(EnumerateDeviceExtensionProperties) \
    X(GetPhysicalDeviceProperties) \
    X(GetPhysicalDeviceMemoryProperties) \
    X(CreateDevice)

typedef void (*PFN_vkGetPhysicalDeviceProperties)(VkPhysicalDevice, void *);

struct instance {
    struct instance *next;
    const void *key;
    VkInstance handle;
    PFN_vkGetInstanceProcAddr get_proc_addr;
    struct {
#define MEMBER(name) PFN_vk##name name;
        INSTANCE_COMMANDS(MEMBER)
#undef MEMBER
    } to;
};

#define DEVICE_COMMANDS(X) \
    X(DestroyDevice) \
    X(AllocateMemory) \
    X(FreeMemory) \
    X(MapMemory) \
    X(UnmapMemory) \
    X(MapMemory2) \
    X(MapMemory2KHR) \
    X(UnmapMemory2) \
    X(UnmapMemory2KHR) \
    X(FlushMappedMemoryRanges) \
    X(InvalidateMappedMemoryRanges) \
    X(QueueSubmit) \
    X(QueueSubmit2) \
    X(QueueSubmit2KHR) \
    X(QueuePresentKHR)

typedef PFN_vkMapMemory2 PFN_vkMapMemory2KHR;
typedef PFN_vkUnmapMemory2 PFN_vkUnmapMemory2KHR;
typedef PFN_vkQueueSubmit2 PFN_vkQueueSubmit2KHR;
typedef VkResult (*PFN_vkQueuePresentKHR)(VkQueue, const void *);

struct device {
    struct device *next;
    const void *key; /* NULL: free to be used again */
    uint16_t number;
    PFN_vkGetDeviceProcAddr get_proc_addr;
    struct {
#define MEMBER(name) PFN_vk##name name;
        DEVICE_COMMANDS(MEMBER)
#undef MEMBER
    } to;
};

static struct instance *instances;
static struct device *devices;

static const void *key_of(const void *handle)
{
    return *(const void *const *)handle;
}

static struct instance find_instance(const void *handle)
{
    struct instance found = {0};
    pthread_mutex_lock(&lists);
    for (struct instance *one = instances; one; one = one->next)
        if (one->key == key_of(handle))
            found = *one;
    pthread_mutex_unlock(&lists);
    return found;
}

static struct device *find_device(const void *handle)
{
    struct device *one = __atomic_load_n(&devices, __ATOMIC_ACQUIRE);
    while (one && __atomic_load_n(&one->key, __ATOMIC_ACQUIRE) != key_of(handle))
        one = one->next;
    return one;
}

/* The same for a call, which is made on none but a device that this layer has seen. */
static inline const struct device *device_of(const void *handle)
{
    const void *key = key_of(handle);
    const struct device *one = __atomic_load_n(&devices, __ATOMIC_ACQUIRE);
    while (__atomic_load_n(&one->key, __ATOMIC_ACQUIRE) != key)
        one = one->next;
    return one;
}

static void add_device(const struct device *new, const void *handle)
{
    pthread_mutex_lock(&lists);
    struct device *entry = devices;
    while (entry && entry->key)
        entry = entry->next;
    struct device *reused = entry;
    if (!entry)
        entry = calloc(1, sizeof *entry);
    if (entry) {
        entry->number = new->number;
        entry->get_proc_addr = new->get_proc_addr;
        entry->to = new->to;
        __atomic_store_n(&entry->key, key_of(handle), __ATOMIC_RELEASE);
        if (!reused) {
            entry->next = devices;
            __atomic_store_n(&devices, entry, __ATOMIC_RELEASE);
        }
    }
    pthread_mutex_unlock(&lists);
}

static VkResult hook_CreateInstance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *allocator,
                                    VkInstance *handle)
{
    const VkLayerLink *link = next_link(info, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
    if (!link)
        return VK_ERROR_INITIALIZATION_FAILED;
    PFN_vkGetInstanceProcAddr get_proc_addr = link->pfnNextGetInstanceProcAddr;
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)get_proc_addr(NULL, "vkCreateInstance");
    struct instance *instance = calloc(1, sizeof *instance);
    if (!instance)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    VkResult result = create(info, allocator, handle);
    if (result != VK_SUCCESS) {
        free(instance);
        return result;
    }
    stream_configure();
    *instance = (struct instance){.key = key_of(*handle), .handle = *handle, .get_proc_addr = get_proc_addr};
#define LOAD(name) instance->to.name = (PFN_vk##name)get_proc_addr(*handle, "vk" #name);
    INSTANCE_COMMANDS(LOAD)
#undef LOAD
    pthread_mutex_lock(&lists);
    instance->next = instances;
    instances = instance;
    pthread_mutex_unlock(&lists);
    return VK_SUCCESS;
}

static void hook_DestroyInstance(VkInstance handle, const VkAllocationCallbacks *allocator)
{
    if (!handle)
        return;
    struct instance found = find_instance(handle);
    pthread_mutex_lock(&lists);
    for (struct instance **link = &instances; *link; link = &(*link)->next)
        if ((*link)->handle == handle) {
            struct instance *gone = *link;
            *link = gone->next;
            free(gone);
            break;
        }
    pthread_mutex_unlock(&lists);
    found.to.DestroyInstance(handle, allocator);
}

/* No extension is this layer's own. */
static VkResult hook_EnumerateDeviceExtensionProperties(VkPhysicalDevice physical, const char *layer, uint32_t *count,
                                                        VkExtensionProperties *extensions)
{
    if (layer && strcmp(layer, LAYER_NAME) == 0) {
        *count = 0;
        return VK_SUCCESS;
    }
    return find_instance(physical).to.EnumerateDeviceExtensionProperties(physical, layer, count, extensions);
}

static void describe(const struct instance *instance, VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                     struct described *found)
{
    instance->to.GetPhysicalDeviceProperties(physical, found->properties);
    VkPhysicalDeviceMemoryProperties memory;
    instance->to.GetPhysicalDeviceMemoryProperties(physical, &memory);
    found->type_count = memory.memoryTypeCount;
    memcpy(found->types, memory.memoryTypes, sizeof found->types);
    found->heap_count = memory.memoryHeapCount;
    for (unsigned i = 0; i < sizeof found->heaps / sizeof *found->heaps; i++) {
        found->heaps[i].size = memory.memoryHeaps[i].size;
        found->heaps[i].flags = memory.memoryHeaps[i].flags;
    }
    for (const VkBaseOutStructure *one = info->pNext; one; one = one->pNext)
        if (one->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAP_MEMORY_PLACED_FEATURES_EXT) {
            const VkPhysicalDeviceMapMemoryPlacedFeaturesEXT *features = (const void *)one;
            found->placed = features->memoryMapPlaced;
            found->reserve = features->memoryUnmapReserve;
        }
}

static VkResult hook_CreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                  const VkAllocationCallbacks *allocator, VkDevice *handle)
{
    struct instance instance = find_instance(physical);
    const VkLayerLink *link = next_link(info, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
    if (!link)
        return VK_ERROR_INITIALIZATION_FAILED;
    struct device device = {.get_proc_addr = link->pfnNextGetDeviceProcAddr};
    struct described described = {0};
    if (stream.wanted)
        describe(&instance, physical, info, &described);
    pthread_mutex_lock(&stream.lock);
    device.number = stream.devices;
    pthread_mutex_unlock(&stream.lock);
    struct call call = begin(VKM_CALLED_CREATE_DEVICE, device.number, 0);
    VkResult result = instance.to.CreateDevice(physical, info, allocator, handle);
    end(call, (struct vkm_event){.call = VKM_CALLED_CREATE_DEVICE, .device = device.number, .result = result});
    if (result != VK_SUCCESS)
        return result;
    if (stream.wanted) {
        pthread_mutex_lock(&stream.lock);
        device.number = stream.devices;
        stream.devices += stream.devices < UINT16_MAX;
        write_described(&described);
        stream.described_by = getpid();
        pthread_mutex_unlock(&stream.lock);
    }
#define LOAD(name) device.to.name = (PFN_vk##name)device.get_proc_addr(*handle, "vk" #name);
    DEVICE_COMMANDS(LOAD)
#undef LOAD
    add_device(&device, *handle);
    return VK_SUCCESS;
}

static void hook_DestroyDevice(VkDevice handle, const VkAllocationCallbacks *allocator)
{
    if (!handle)
        return;
    struct device *device = find_device(handle);
    if (!device)
        return;
    PFN_vkDestroyDevice destroy = device->to.DestroyDevice;
    struct call call = giving(VKM_CALLED_DESTROY_DEVICE, device->number, 0, 0);
    __atomic_store_n(&device->key, NULL, __ATOMIC_RELEASE); /* the next device may have the same one */
    destroy(handle, allocator);
    given(call, VK_SUCCESS);
}

/* Memory */

static unsigned marks_of(const VkMemoryAllocateInfo *info, uint64_t *pointer)
{
    unsigned marks = 0;
    *pointer = 0;
    for (const VkBaseOutStructure *one = info->pNext; one; one = one->pNext)
        switch (one->sType) {
        case VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO: marks |= VKM_MARK_DEDICATED; break;
        case VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT:
            marks |= VKM_MARK_IMPORTED_HOST;
            *pointer = (uint64_t)(uintptr_t)((const VkImportMemoryHostPointerInfoEXT *)(const void *)one)->pHostPointer;
            break;
        case VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO: marks |= VKM_MARK_EXPORTED; break;
        case VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO:
            if (((const VkMemoryAllocateFlagsInfo *)(const void *)one)->flags & VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT)
                marks |= VKM_MARK_DEVICE_ADDRESS;
            break;
        case VK_STRUCTURE_TYPE_IMPORT_MEMORY_FD_INFO_KHR: marks |= VKM_MARK_IMPORTED; break;
        default: break;
        }
    return marks;
}

static VkResult hook_AllocateMemory(VkDevice handle, const VkMemoryAllocateInfo *info,
                                    const VkAllocationCallbacks *allocator, VkDeviceMemory *memory)
{
    const struct device *device = device_of(handle);
    struct call call = begin(VKM_CALLED_ALLOCATE, device->number, 0);
    uint64_t pointer;
    VkResult result = device->to.AllocateMemory(handle, info, allocator, memory);
    unsigned marks = marks_of(info, &pointer);
    end(call, (struct vkm_event){
                  .call = VKM_CALLED_ALLOCATE,
                  .marks = (uint8_t)marks,
                  .device = device->number,
                  .result = result,
                  .object = result == VK_SUCCESS ? *memory : 0,
                  .offset = info->memoryTypeIndex,
                  .size = info->allocationSize,
                  .pointer = pointer,
              });
    return result;
}

static void hook_FreeMemory(VkDevice handle, VkDeviceMemory memory, const VkAllocationCallbacks *allocator)
{
    const struct device *device = device_of(handle);
    struct call call = giving(VKM_CALLED_FREE, device->number, memory, 0);
    device->to.FreeMemory(handle, memory, allocator);
    given(call, VK_SUCCESS);
}

static inline void end_map(struct call call, enum vkm_called called, const struct device *device, VkResult result,
                           const VkMemoryMapInfo *info, void *const *pointer)
{
    end(call, (struct vkm_event){
                  .call = (uint8_t)called,
                  .marks = info->flags & VK_MEMORY_MAP_PLACED_BIT_EXT ? VKM_MARK_PLACED : 0,
                  .device = device->number,
                  .result = result,
                  .object = info->memory,
                  .offset = info->offset,
                  .size = info->size,
                  .pointer = result == VK_SUCCESS ? (uint64_t)(uintptr_t)*pointer : 0,
              });
}

static VkResult hook_MapMemory(VkDevice handle, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size,
                               VkFlags flags, void **pointer)
{
    const struct device *device = device_of(handle);
    struct call call = begin(VKM_CALLED_MAP, device->number, memory);
    VkResult result = device->to.MapMemory(handle, memory, offset, size, flags, pointer);
    VkMemoryMapInfo info = {.memory = memory, .offset = offset, .size = size};
    end_map(call, VKM_CALLED_MAP, device, result, &info, pointer);
    return result;
}

static VkResult map2(enum vkm_called called, const struct device *device, PFN_vkMapMemory2 map, VkDevice handle,
                     const VkMemoryMapInfo *info, void **pointer)
{
    struct call call = begin(called, device->number, info->memory);
    VkResult result = map(handle, info, pointer);
    end_map(call, called, device, result, info, pointer);
    return result;
}

static VkResult hook_MapMemory2(VkDevice handle, const VkMemoryMapInfo *info, void **pointer)
{
    const struct device *device = device_of(handle);
    return map2(VKM_CALLED_MAP2, device, device->to.MapMemory2, handle, info, pointer);
}

static VkResult hook_MapMemory2KHR(VkDevice handle, const VkMemoryMapInfo *info, void **pointer)
{
    const struct device *device = device_of(handle);
    return map2(VKM_CALLED_MAP2_KHR, device, device->to.MapMemory2KHR, handle, info, pointer);
}

static void hook_UnmapMemory(VkDevice handle, VkDeviceMemory memory)
{
    const struct device *device = device_of(handle);
    struct call call = giving(VKM_CALLED_UNMAP, device->number, memory, 0);
    device->to.UnmapMemory(handle, memory);
    given(call, VK_SUCCESS);
}

static VkResult unmap2(enum vkm_called called, const struct device *device, PFN_vkUnmapMemory2 unmap, VkDevice handle,
                       const VkMemoryUnmapInfo *info)
{
    unsigned marks = info->flags & VK_MEMORY_UNMAP_RESERVE_BIT_EXT ? VKM_MARK_RESERVE : 0;
    struct call call = giving(called, device->number, info->memory, marks);
    VkResult result = unmap(handle, info);
    given(call, result);
    return result;
}

static VkResult hook_UnmapMemory2(VkDevice handle, const VkMemoryUnmapInfo *info)
{
    const struct device *device = device_of(handle);
    return unmap2(VKM_CALLED_UNMAP2, device, device->to.UnmapMemory2, handle, info);
}

static VkResult hook_UnmapMemory2KHR(VkDevice handle, const VkMemoryUnmapInfo *info)
{
    const struct device *device = device_of(handle);
    return unmap2(VKM_CALLED_UNMAP2_KHR, device, device->to.UnmapMemory2KHR, handle, info);
}

static VkResult over_ranges(enum vkm_called called, const struct device *device, PFN_vkFlushMappedMemoryRanges function,
                            VkDevice handle, uint32_t count, const VkMappedMemoryRange *ranges)
{
    struct call call = begin(called, device->number, count ? ranges[0].memory : 0);
    VkResult result = function(handle, count, ranges);
    for (uint32_t i = 0; call.begin && i < count; i++) {
        struct vkm_event event = {
            .call = (uint8_t)called,
            .marks = i ? VKM_MARK_FURTHER : 0,
            .device = device->number,
            .result = result,
            .begin = call.thread->last_end,
            .object = ranges[i].memory,
            .offset = ranges[i].offset,
            .size = ranges[i].size,
        };
        if (i)
            put(call.thread, event);
        else
            end(call, event);
    }
    return result;
}

static VkResult hook_FlushMappedMemoryRanges(VkDevice handle, uint32_t count, const VkMappedMemoryRange *ranges)
{
    const struct device *device = device_of(handle);
    return over_ranges(VKM_CALLED_FLUSH, device, device->to.FlushMappedMemoryRanges, handle, count, ranges);
}

static VkResult hook_InvalidateMappedMemoryRanges(VkDevice handle, uint32_t count, const VkMappedMemoryRange *ranges)
{
    const struct device *device = device_of(handle);
    return over_ranges(VKM_CALLED_INVALIDATE, device, device->to.InvalidateMappedMemoryRanges, handle, count, ranges);
}

/* Queues: marks of frames */

static VkResult submit(enum vkm_called called, const struct device *device, PFN_vkQueueSubmit function, VkQueue queue,
                       uint32_t count, const VkSubmitInfo *submits, VkFence fence)
{
    struct call call = begin(called, device->number, 0);
    VkResult result = function(queue, count, submits, fence);
    end(call, (struct vkm_event){.call = (uint8_t)called, .device = device->number, .result = result, .size = count});
    return result;
}

static VkResult hook_QueueSubmit(VkQueue queue, uint32_t count, const VkSubmitInfo *submits, VkFence fence)
{
    const struct device *device = device_of(queue);
    return submit(VKM_CALLED_SUBMIT, device, device->to.QueueSubmit, queue, count, submits, fence);
}

static VkResult hook_QueueSubmit2(VkQueue queue, uint32_t count, const VkSubmitInfo *submits, VkFence fence)
{
    const struct device *device = device_of(queue);
    return submit(VKM_CALLED_SUBMIT2, device, device->to.QueueSubmit2, queue, count, submits, fence);
}

static VkResult hook_QueueSubmit2KHR(VkQueue queue, uint32_t count, const VkSubmitInfo *submits, VkFence fence)
{
    const struct device *device = device_of(queue);
    return submit(VKM_CALLED_SUBMIT2_KHR, device, device->to.QueueSubmit2KHR, queue, count, submits, fence);
}

static VkResult hook_QueuePresentKHR(VkQueue queue, const void *info)
{
    const struct device *device = device_of(queue);
    struct call call = begin(VKM_CALLED_PRESENT, device->number, 0);
    VkResult result = device->to.QueuePresentKHR(queue, info);
    end(call, (struct vkm_event){.call = VKM_CALLED_PRESENT, .device = device->number, .result = result});
    return result;
}

/* Entry points */

static PFN_vkVoidFunction layer_GetInstanceProcAddr(VkInstance handle, const char *name);
static PFN_vkVoidFunction layer_GetDeviceProcAddr(VkDevice handle, const char *name);

#define HOOK(command) {"vk" #command, (PFN_vkVoidFunction)hook_##command},

static const struct hook instance_hooks[] = {
    {"vkGetInstanceProcAddr", (PFN_vkVoidFunction)layer_GetInstanceProcAddr},
    HOOK(CreateInstance) HOOK(DestroyInstance) HOOK(EnumerateDeviceExtensionProperties) HOOK(CreateDevice){NULL, NULL},
};

static const struct hook device_hooks[] = {
    {"vkGetDeviceProcAddr", (PFN_vkVoidFunction)layer_GetDeviceProcAddr},
    DEVICE_COMMANDS(HOOK){NULL, NULL},
};

static PFN_vkVoidFunction layer_GetDeviceProcAddr(VkDevice handle, const char *name)
{
    const struct device *device = find_device(handle);
    PFN_vkVoidFunction below = device ? device->get_proc_addr(handle, name) : NULL;
    PFN_vkVoidFunction hook = find_hook(device_hooks, name);
    return below && hook ? hook : below;
}

static PFN_vkVoidFunction layer_GetInstanceProcAddr(VkInstance handle, const char *name)
{
    PFN_vkVoidFunction hook = find_hook(instance_hooks, name);
    if (!hook)
        hook = find_hook(device_hooks, name);
    struct instance instance = {0};
    if (handle)
        instance = find_instance(handle);
    if (!instance.handle) /* not created yet: the loader looks for vkCreateInstance */
        return hook;
    PFN_vkVoidFunction below = instance.get_proc_addr(handle, name);
    return below && hook ? hook : below;
}

LAYER_EXPORT VkResult vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *negotiation)
{
    return negotiate(negotiation, layer_GetInstanceProcAddr, layer_GetDeviceProcAddr);
}
