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
#include "clock.h"
#include "ring.h"
#include "vk_layer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LAYER_NAME "VK_LAYER_VKMAPCTL_record"
#define GAP_NS 20000
#define SPARE \
    1024 /* events that threads may claim at the same moment, between their look at the room and their claim */
#define FULL UINT64_MAX

/* The stream of this process */

static struct {
    char folder[4000];
    uint32_t clock_kind, capacity;
    uint64_t clock_mult, gap_ticks;
    bool wanted, forked;
    uint16_t devices; /* created so far */
    pthread_mutex_t lock;
} stream = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct vkm_ring *ring; /* NULL: nothing is recorded */

/* Of each thread: when its last recorded call ended, and its CPU time at some moment before. */
static __thread struct {
    const struct vkm_ring *ring;
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

/* A child of fork has its parent's ring in its memory, but is a process of its own. */
static void after_fork(void)
{
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    stream.lock = fresh;
    stream.forked = true;
    ring = NULL;
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
        stream.wanted = stream.capacity > 2 * SPARE && (stream.capacity & (stream.capacity - 1)) == 0;
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
    void *memory = refused ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    close(fd);
    if (memory != MAP_FAILED)
        return memory;
    errno = refused ? refused : errno;
    unlink(path);
    return NULL;
}

static void stream_open(void)
{
    char path[sizeof stream.folder + 64];
    path_of(path, sizeof path, "ring");
    struct vkm_ring *new = new_ring(path, VKM_RING_HEAD + stream.capacity * sizeof(struct vkm_event));
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
    new->start_ticks = vkm_ticks_of(stream.clock_kind);
    new->start_ns = ns_of(CLOCK_MONOTONIC);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    memcpy(new->magic, VKM_RING_MAGIC, sizeof new->magic);
    __atomic_store_n(&ring, new, __ATOMIC_RELEASE);
}

/* Events */

static struct vkm_event *claim(struct vkm_ring *to, uint64_t *index)
{
    *index = __atomic_load_n(&to->head, __ATOMIC_RELAXED);
    if (*index - __atomic_load_n(&to->tail, __ATOMIC_ACQUIRE) > to->capacity - SPARE) {
        __atomic_fetch_add(&to->dropped, 1, __ATOMIC_RELAXED);
        return NULL;
    }
    *index = __atomic_fetch_add(&to->head, 1, __ATOMIC_RELAXED);
    return (struct vkm_event *)((char *)to + VKM_RING_HEAD) + (*index & (to->capacity - 1));
}

static uint32_t lap_of(const struct vkm_ring *of, uint64_t index)
{
    return (uint32_t)(index / of->capacity + 1) * 2;
}

static void put(struct vkm_event event)
{
    uint64_t index;
    struct vkm_event *to = claim(ring, &index);
    if (!to)
        return;
    event.state = 0;
    event.thread = own.id;
    *to = event;
    __atomic_store_n(&to->state, lap_of(ring, index) + 1, __ATOMIC_RELEASE);
}

/* What the thread did since its last recorded call: time off the CPU is taken to lie in the gap. */
static void put_gap(uint64_t now)
{
    uint64_t cpu = ns_of(CLOCK_THREAD_CPUTIME_ID);
    struct vkm_clock clock = {stream.clock_kind, stream.clock_mult};
    if (own.last_end) {
        uint64_t gap = vkm_ticks_to_ns(&clock, now - own.last_end);
        uint64_t all = vkm_ticks_to_ns(&clock, now - own.read_at), used = cpu - own.cpu_ns;
        uint64_t off = all > used ? all - used : 0;
        put((struct vkm_event){
            .call = VKM_CALLED_GAP,
            .begin = own.last_end,
            .ticks = now - own.last_end,
            .size = gap > off ? gap - off : 0,
        });
    }
    own.read_at = now;
    own.cpu_ns = cpu;
}

static __attribute__((noinline)) bool thread_begins(void)
{
    pthread_mutex_lock(&stream.lock);
    if (!ring && stream.wanted)
        stream_open();
    pthread_mutex_unlock(&stream.lock);
    if (!ring)
        return false;
    static struct vkm_under_way nowhere;
    uint32_t place = __atomic_fetch_add(&ring->threads, 1, __ATOMIC_RELAXED);
    own.ring = ring;
    own.under_way = place < VKM_UNDER_WAY ? &ring->under_way[place] : &nowhere;
    own.id = (uint32_t)syscall(SYS_gettid);
    own.under_way->thread = own.id;
    own.last_end = 0;
    return true;
}

/* When a call begins; 0 where it is not recorded. */
static inline uint64_t begin(enum vkm_called call, uint16_t device, uint64_t object)
{
    struct vkm_ring *to = __atomic_load_n(&ring, __ATOMIC_ACQUIRE);
    if (__builtin_expect(!to || own.ring != to, 0)) {
        if (!stream.wanted || !thread_begins())
            return 0;
        to = ring;
    }
    uint64_t now = vkm_ticks_of(to->clock_kind);
    if (__builtin_expect(now - own.last_end > stream.gap_ticks, 0)) {
        put_gap(now);
        now = vkm_ticks_of(to->clock_kind);
    }
    own.under_way->begin = now;
    own.under_way->object = object;
    own.under_way->device = device;
    own.under_way->call = (uint16_t)(call + 1);
    return now;
}

static inline void end(uint64_t begun, struct vkm_event event)
{
    if (!begun)
        return;
    own.last_end = vkm_ticks_of(ring->clock_kind);
    own.under_way->call = 0;
    event.begin = begun;
    event.ticks = own.last_end - begun;
    put(event);
}

/* What gives something back has its place in the order where it begins: what it gives may be another thread's before it
 * returns. All others have theirs where they end. */
static inline struct vkm_event *giving(uint64_t begun, struct vkm_event event, uint32_t *lap)
{
    uint64_t index;
    struct vkm_event *to = begun ? claim(ring, &index) : NULL;
    if (!to)
        return NULL;
    event.begin = begun;
    event.thread = own.id;
    *lap = lap_of(ring, index);
    *to = event;
    __atomic_store_n(&to->state, *lap, __ATOMIC_RELEASE);
    return to;
}

static inline void given(struct vkm_event *event, uint32_t lap, VkResult result)
{
    if (!event)
        return;
    own.last_end = vkm_ticks_of(ring->clock_kind);
    own.under_way->call = 0;
    event->ticks = own.last_end - event->begin;
    event->result = result;
    __atomic_store_n(&event->state, lap + 1, __ATOMIC_RELEASE);
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

/* As it stands in PID.devices, one after the other. */
struct described {
    uint32_t placed, reserve;
    uint64_t properties[824 / 8]; /* VkPhysicalDeviceProperties */
    VkPhysicalDeviceMemoryProperties memory;
};

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
static pthread_mutex_t lists = PTHREAD_MUTEX_INITIALIZER;

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

/* The layer's own link in the chain that the loader passes down; it is taken off. */
static const VkLayerLink *next_link(const void *create_info, VkStructureType type)
{
    VkBaseOutStructure *chain = ((const VkBaseOutStructure *)create_info)->pNext;
    for (; chain; chain = chain->pNext) {
        VkLayerCreateInfo *info = (VkLayerCreateInfo *)chain;
        if (chain->sType == type && info->function == VK_LAYER_LINK_INFO) {
            const VkLayerLink *link = info->pLayerInfo;
            info->pLayerInfo = link->pNext;
            return link;
        }
    }
    return NULL;
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
    instance->to.GetPhysicalDeviceMemoryProperties(physical, &found->memory);
    for (const VkBaseOutStructure *one = info->pNext; one; one = one->pNext)
        if (one->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAP_MEMORY_PLACED_FEATURES_EXT) {
            const VkPhysicalDeviceMapMemoryPlacedFeaturesEXT *features = (const void *)one;
            found->placed = features->memoryMapPlaced;
            found->reserve = features->memoryUnmapReserve;
        }
}

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
    uint64_t begun = begin(VKM_CALLED_CREATE_DEVICE, device.number, 0);
    VkResult result = instance.to.CreateDevice(physical, info, allocator, handle);
    end(begun, (struct vkm_event){.call = VKM_CALLED_CREATE_DEVICE, .device = device.number, .result = result});
    if (result != VK_SUCCESS)
        return result;
    if (stream.wanted) {
        pthread_mutex_lock(&stream.lock);
        device.number = stream.devices;
        stream.devices += stream.devices < UINT16_MAX;
        write_described(&described);
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
    uint32_t lap = 0;
    struct vkm_event *event = giving(begin(VKM_CALLED_DESTROY_DEVICE, device->number, 0),
                                     (struct vkm_event){.call = VKM_CALLED_DESTROY_DEVICE, .device = device->number},
                                     &lap);
    __atomic_store_n(&device->key, NULL, __ATOMIC_RELEASE); /* the next device may have the same one */
    destroy(handle, allocator);
    given(event, lap, VK_SUCCESS);
}

/* Memory */

static uint64_t number_of(VkDeviceMemory memory)
{
    return (uint64_t)(uintptr_t)memory;
}

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
    uint64_t begun = begin(VKM_CALLED_ALLOCATE, device->number, 0), pointer;
    VkResult result = device->to.AllocateMemory(handle, info, allocator, memory);
    unsigned marks = marks_of(info, &pointer);
    end(begun, (struct vkm_event){
                   .call = VKM_CALLED_ALLOCATE,
                   .marks = (uint8_t)marks,
                   .device = device->number,
                   .result = result,
                   .object = result == VK_SUCCESS ? number_of(*memory) : 0,
                   .offset = info->memoryTypeIndex,
                   .size = info->allocationSize,
                   .pointer = pointer,
               });
    return result;
}

static void hook_FreeMemory(VkDevice handle, VkDeviceMemory memory, const VkAllocationCallbacks *allocator)
{
    const struct device *device = device_of(handle);
    struct vkm_event event = {.call = VKM_CALLED_FREE, .device = device->number, .object = number_of(memory)};
    uint32_t lap = 0;
    struct vkm_event *to = giving(begin(VKM_CALLED_FREE, device->number, event.object), event, &lap);
    device->to.FreeMemory(handle, memory, allocator);
    given(to, lap, VK_SUCCESS);
}

static inline void end_map(uint64_t begun, enum vkm_called called, const struct device *device, VkResult result,
                           const VkMemoryMapInfo *info, void *const *pointer)
{
    end(begun, (struct vkm_event){
                   .call = (uint8_t)called,
                   .marks = info->flags & VK_MEMORY_MAP_PLACED_BIT_EXT ? VKM_MARK_PLACED : 0,
                   .device = device->number,
                   .result = result,
                   .object = number_of(info->memory),
                   .offset = info->offset,
                   .size = info->size,
                   .pointer = result == VK_SUCCESS ? (uint64_t)(uintptr_t)*pointer : 0,
               });
}

static VkResult hook_MapMemory(VkDevice handle, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size,
                               VkFlags flags, void **pointer)
{
    const struct device *device = device_of(handle);
    uint64_t begun = begin(VKM_CALLED_MAP, device->number, number_of(memory));
    VkResult result = device->to.MapMemory(handle, memory, offset, size, flags, pointer);
    VkMemoryMapInfo info = {.memory = memory, .offset = offset, .size = size};
    end_map(begun, VKM_CALLED_MAP, device, result, &info, pointer);
    return result;
}

static VkResult map2(enum vkm_called called, const struct device *device, PFN_vkMapMemory2 map, VkDevice handle,
                     const VkMemoryMapInfo *info, void **pointer)
{
    uint64_t begun = begin(called, device->number, number_of(info->memory));
    VkResult result = map(handle, info, pointer);
    end_map(begun, called, device, result, info, pointer);
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
    struct vkm_event event = {.call = VKM_CALLED_UNMAP, .device = device->number, .object = number_of(memory)};
    uint32_t lap = 0;
    struct vkm_event *to = giving(begin(VKM_CALLED_UNMAP, device->number, event.object), event, &lap);
    device->to.UnmapMemory(handle, memory);
    given(to, lap, VK_SUCCESS);
}

static VkResult unmap2(enum vkm_called called, const struct device *device, PFN_vkUnmapMemory2 unmap, VkDevice handle,
                       const VkMemoryUnmapInfo *info)
{
    struct vkm_event event = {
        .call = (uint8_t)called,
        .marks = info->flags & VK_MEMORY_UNMAP_RESERVE_BIT_EXT ? VKM_MARK_RESERVE : 0,
        .device = device->number,
        .object = number_of(info->memory),
    };
    uint32_t lap = 0;
    struct vkm_event *to = giving(begin(called, device->number, event.object), event, &lap);
    VkResult result = unmap(handle, info);
    given(to, lap, result);
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
    uint64_t begun = begin(called, device->number, count ? number_of(ranges[0].memory) : 0);
    VkResult result = function(handle, count, ranges);
    for (uint32_t i = 0; begun && i < count; i++) {
        struct vkm_event event = {
            .call = (uint8_t)called,
            .marks = i ? VKM_MARK_FURTHER : 0,
            .device = device->number,
            .result = result,
            .begin = own.last_end,
            .object = number_of(ranges[i].memory),
            .offset = ranges[i].offset,
            .size = ranges[i].size,
        };
        if (i)
            put(event);
        else
            end(begun, event);
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
    uint64_t begun = begin(called, device->number, 0);
    VkResult result = function(queue, count, submits, fence);
    end(begun, (struct vkm_event){.call = (uint8_t)called, .device = device->number, .result = result, .size = count});
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
    uint64_t begun = begin(VKM_CALLED_PRESENT, device->number, 0);
    VkResult result = device->to.QueuePresentKHR(queue, info);
    end(begun, (struct vkm_event){.call = VKM_CALLED_PRESENT, .device = device->number, .result = result});
    return result;
}

/* Entry points */

struct hook {
    const char *name;
    PFN_vkVoidFunction function;
};

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

static PFN_vkVoidFunction find_hook(const struct hook *hooks, const char *name)
{
    while (hooks->name && strcmp(hooks->name, name) != 0)
        hooks++;
    return hooks->function;
}

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

LAYER_EXPORT VkResult vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *negotiation);

LAYER_EXPORT VkResult vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *negotiation)
{
    if (negotiation->sType != LAYER_NEGOTIATE_INTERFACE_STRUCT || negotiation->loaderLayerInterfaceVersion < 2)
        return VK_ERROR_INITIALIZATION_FAILED;
    negotiation->loaderLayerInterfaceVersion = 2;
    negotiation->pfnGetInstanceProcAddr = layer_GetInstanceProcAddr;
    negotiation->pfnGetDeviceProcAddr = layer_GetDeviceProcAddr;
    negotiation->pfnGetPhysicalDeviceProcAddr = NULL;
    return VK_SUCCESS;
}
