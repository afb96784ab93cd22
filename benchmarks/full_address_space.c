/* What a full address space does to maps, where one can be filled: in a 32-bit process (docs/32-bit.md).
 * Usage: full_address_space many      maps objects until no more can be had, then frees every second one
 *        full_address_space full      maps objects that were there before every free address was taken
 * `full` places maps where the device has the extension, as it has with the test layer's emulation.
 */
#define _GNU_SOURCE
#include "device.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1u << 20)
#define OBJECT (16 * MIB)
#define SMALLEST (64u << 10)
#define LOWEST 65536 /* vm.mmap_min_addr */
enum { MOST = 1 << 16, PLACED = 1, RESERVE = 1 };
enum { WITHOUT_POINTER = 1000 }; /* no VkResult: a map that says VK_SUCCESS, and has no memory to show for it */

static void *device;
static uint32_t memory_type;
static allocate_fn *make;
static free_fn *release;
static map1_fn *map1;
static map2_fn *map2;
static unmap2_fn *unmap2;
static char maps[1 << 22]; /* what /proc/self/maps says: reading it takes no memory */

static const char *name_of(int32_t result)
{
    switch (result) {
    case 0: return "VK_SUCCESS";
    case -1: return "VK_ERROR_OUT_OF_HOST_MEMORY";
    case -2: return "VK_ERROR_OUT_OF_DEVICE_MEMORY";
    case -5: return "VK_ERROR_MEMORY_MAP_FAILED";
    case WITHOUT_POINTER: return "VK_SUCCESS, and no memory";
    default: return "another VkResult";
    }
}

static void read_maps(void)
{
    int file = fileno(fopen("/proc/self/maps", "re"));
    size_t length = 0;
    ssize_t got;
    while (length < sizeof maps - 1 && (got = read(file, maps + length, sizeof maps - 1 - length)) > 0)
        length += (size_t)got;
    maps[length] = 0;
    close(file);
}

/* One line of what was found, with what is free then. */
static void say(const char *what, const char *found)
{
    uint64_t at = LOWEST, all = 0, largest = 0;
    read_maps();
    for (char *line = maps; *line; line = strchr(line, '\n') + 1) {
        char *end;
        uint64_t begin = strtoull(line, &end, 16), last = strtoull(end + 1, NULL, 16),
                 hole = begin > at ? begin - at : 0;
        all += hole;
        largest = hole > largest ? hole : largest;
        at = last > at ? last : at;
    }
    printf("%-58s %-30s %7.1f MiB free, %7.1f in one piece\n", what, found, (double)all / MIB, (double)largest / MIB);
    fflush(stdout);
}

/* The VkResult of a map, or WITHOUT_POINTER: the whole mapping must be in this process's address space. */
static int32_t judged(int32_t result, void *data, uint64_t size)
{
    int page = getpagesize();
    uintptr_t first = (uintptr_t)data & ~(uintptr_t)(page - 1);
    if (result || (data && data != MAP_FAILED && !msync((void *)first, (size_t)size, MS_ASYNC)))
        return result;
    fprintf(stderr, "VK_SUCCESS with the pointer %p\n", data);
    return WITHOUT_POINTER;
}

/* An object that is mapped: 0, or what came of the call that failed. */
static int32_t add(uint64_t size, uint64_t *memory, const char **call)
{
    struct allocate_info info = {.type = 5, .size = size, .memory_type = memory_type};
    void *data = NULL;
    *call = "vkAllocateMemory";
    int32_t result = make((uintptr_t)device, &info, NULL, memory);
    if (result)
        return result;
    *call = "vkMapMemory";
    result = map1((uintptr_t)device, *memory, 0, size, 0, &data);
    result = judged(result, data, size);
    if (result)
        release((uintptr_t)device, *memory, NULL);
    return result;
}

static void one_more(uint64_t size)
{
    char what[80];
    const char *call;
    uint64_t memory;
    int32_t result = add(size, &memory, &call);
    snprintf(what, sizeof what, "one more of %u MiB, up to %s", (unsigned)(size / MIB), call);
    say(what, name_of(result));
}

static void many(void)
{
    static uint64_t objects[MOST];
    char what[80];
    const char *call;
    unsigned count = 0;
    int32_t result;
    say("before the first object", "");
    while (count < MOST && !(result = add(OBJECT, &objects[count], &call)))
        count++;
    snprintf(what, sizeof what, "%u objects of 16 MiB mapped at once, then %s", count, call);
    say(what, name_of(result));
    for (unsigned i = 0; i < count; i += 2)
        release((uintptr_t)device, objects[i], NULL);
    say("after every second of them was freed", "");
    one_more(4 * OBJECT);
    one_more(OBJECT);
}

static int32_t map_by_1(uint64_t memory)
{
    void *data = NULL;
    int32_t result = map1((uintptr_t)device, memory, 0, OBJECT, 0, &data);
    return judged(result, data, OBJECT);
}

static int32_t map_by_2(uint64_t memory, void *place)
{
    struct placed_info placed = {.type = 1000272002, .address = place};
    struct map_info info = {.type = 1000271000,
                            .next = place ? &placed : NULL,
                            .flags = place ? PLACED : 0,
                            .memory = memory,
                            .size = OBJECT};
    void *data = NULL;
    int32_t result = map2((uintptr_t)device, &info, &data);
    result = judged(result, data, OBJECT);
    if (!result && place && data != place)
        fprintf(stderr, "placed elsewhere\n");
    return result;
}

static int32_t unmap_by_2(uint64_t memory, uint32_t flags)
{
    struct unmap_info info = {.type = 1000271001, .flags = flags, .memory = memory};
    return unmap2((uintptr_t)device, &info);
}

static void *reserved(size_t size)
{
    void *found = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return found == MAP_FAILED ? NULL : found;
}

static void full(int places)
{
    static void *taken[MOST];
    static size_t sizes[MOST];
    unsigned count = 0;
    void *place = reserved(OBJECT);
    uint64_t first = allocate(device, OBJECT, memory_type), second = allocate(device, OBJECT, memory_type), third;
    const char *call;
    say("two objects of 16 MiB, not mapped", "");
    for (size_t size = 256 * MIB; size >= SMALLEST; size /= 2)
        while (count < MOST && (taken[count] = reserved(size)))
            sizes[count++] = size;
    say("every free piece from 64 KiB on was taken", "");
    int32_t result = map_by_1(first);
    say("an ordinary map, vkMapMemory", name_of(result));
    if (!result)
        unmap_by_2(first, 0);
    result = map_by_2(second, NULL);
    say("an ordinary map, vkMapMemory2", name_of(result));
    if (!result)
        unmap_by_2(second, 0);
    if (places) {
        say("a placed map over addresses that were reserved before", name_of(map_by_2(first, place)));
        say("its unmap with reserve", name_of(unmap_by_2(first, RESERVE)));
        say("another object, placed over what the reserve kept", name_of(map_by_2(second, place)));
        say("its unmap without reserve", name_of(unmap_by_2(second, 0)));
        say("an ordinary map, which takes those addresses", name_of(map_by_2(first, NULL)));
    }
    say("a new object of 16 MiB", name_of(add(OBJECT, &third, &call)));
    while (count--)
        munmap(taken[count], sizes[count]);
    say("once all that was given back, an ordinary map", name_of(map_by_2(second, NULL)));
}

static int has_placed(void *physical)
{
    static struct {
        char name[256];
        uint32_t version;
    } known[512];
    uint32_t count = 512;
    int32_t (*list)(void *, const char *, uint32_t *, void *) = need("vkEnumerateDeviceExtensionProperties");
    list(physical, NULL, &count, known);
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(known[i].name, "VK_EXT_map_memory_placed"))
            return 1;
    return 0;
}

static void *open_placing(void *physical)
{
    static const char *const names[] = {"VK_KHR_map_memory2", "VK_EXT_map_memory_placed"};
    const float priority = 1;
    struct {
        uint32_t type;
        const void *next;
        uint32_t placed, range, reserve;
    } features = {.type = 1000272000, .placed = 1, .reserve = 1};
    struct queue_info queue = {.type = 2, .count = 1, .priorities = &priority};
    struct device_info info = {
        .type = 3, .next = &features, .queues = 1, .queue = &queue, .extensions = 2, .extension_names = names};
    int32_t (*create)(void *, const void *, const void *, void **) = need("vkCreateDevice");
    void *opened = NULL;
    check("vkCreateDevice", create(physical, &info, NULL, &opened));
    return opened;
}

int main(int count, char **arguments)
{
    if (count != 2 || (strcmp(arguments[1], "many") && strcmp(arguments[1], "full")))
        return 2;
    open_loader();
    void *physical = choose(open_instance(), &memory_type);
    int places = has_placed(physical);
    device = places ? open_placing(physical) : open_device(physical);
    proc_fn proc = (proc_fn)(uintptr_t)need("vkGetDeviceProcAddr");
    make = (allocate_fn *)(uintptr_t)proc(device, "vkAllocateMemory");
    release = (free_fn *)(uintptr_t)proc(device, "vkFreeMemory");
    map1 = (map1_fn *)(uintptr_t)proc(device, "vkMapMemory");
    map2 = (map2_fn *)(uintptr_t)proc(device, places ? "vkMapMemory2KHR" : "vkMapMemory2");
    unmap2 = (unmap2_fn *)(uintptr_t)proc(device, places ? "vkUnmapMemory2KHR" : "vkUnmapMemory2");
    if (!map2 || !unmap2) {
        fprintf(stderr, "no vkMapMemory2\n");
        return 3;
    }
    if (strcmp(arguments[1], "many"))
        full(places);
    else
        many();
    return 0;
}
