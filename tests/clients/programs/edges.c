/* Small programs at the edges of what a recorder meets, one for each name. Each says "done" where it comes to its end.
 * Usage: edges NAME [COUNT | DRIVER]
 */
#define _GNU_SOURCE
#include "device.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 65536 };

struct opened {
    void *instance, *device;
    uint32_t memory_type;
};

static struct opened open_both(void)
{
    struct opened it = {.instance = open_instance()};
    it.device = open_device(choose(it.instance, &it.memory_type));
    return it;
}

static void close_both(struct opened it)
{
    ((void (*)(void *, const void *))need("vkDestroyDevice"))(it.device, NULL);
    ((void (*)(void *, const void *))need("vkDestroyInstance"))(it.instance, NULL);
}

static uint64_t handle(struct opened it)
{
    return (uint64_t)(uintptr_t)it.device;
}

static void *map(struct opened it, uint64_t memory)
{
    void *data = NULL;
    check("vkMapMemory", ((map1_fn *)need("vkMapMemory"))(handle(it), memory, 0, UINT64_MAX, 0, &data));
    memset(data, 1, SIZE);
    return data;
}

static void unmap(struct opened it, uint64_t memory)
{
    ((unmap1_fn *)need("vkUnmapMemory"))(handle(it), memory);
}

static void release(struct opened it, uint64_t memory)
{
    ((free_fn *)need("vkFreeMemory"))(handle(it), memory, NULL);
}

/* Allocates, maps and unmaps `count` times, frees. */
static void use(struct opened it, long count)
{
    uint64_t memory = allocate(it.device, SIZE, it.memory_type);
    for (long i = 0; i < count; i++) {
        map(it, memory);
        unmap(it, memory);
    }
    release(it, memory);
}

static int pairs(long count)
{
    struct opened it = open_both();
    use(it, count);
    close_both(it);
    return 0;
}

/* Maps `count` times, and is killed while the last is mapped. */
static struct opened mapped(long count)
{
    struct opened it = open_both();
    uint64_t memory = allocate(it.device, SIZE, it.memory_type);
    for (long i = 0; i < count; i++) {
        if (i)
            unmap(it, memory);
        map(it, memory);
    }
    return it;
}

static int killed(long count)
{
    mapped(count);
    return kill(getpid(), SIGKILL);
}

static int leaves(long count)
{
    mapped(count);
    _exit(7);
}

static int crashes(long count)
{
    mapped(count);
    volatile char *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *nowhere = 1;
    return 0;
}

/* Child and parent both map after the fork: the parent with its device, the child with one of its own. */
static int forks(long count)
{
    struct opened it = open_both();
    use(it, count);
    int status = 0;
    pid_t child = fork();
    if (child == 0)
        _exit(pairs(count)); /* lavapipe's exit handler joins threads that the parent alone has */
    use(it, count);
    if (child < 0 || waitpid(child, &status, 0) != child || status)
        return 4;
    close_both(it);
    return 0;
}

/* Executes a program in its place, as launchers do. */
static int executes(long count)
{
    char number[24];
    snprintf(number, sizeof number, "%ld", count);
    pairs(count);
    return execl("/proc/self/exe", "edges", "pairs", number, NULL);
}

static int instances(long count)
{
    for (long i = 0; i < count; i++)
        pairs(1);
    return 0;
}

/* The loader is unloaded with its layers, and loaded again. */
static int reloads(long count)
{
    for (long i = 0; i < count; i++) {
        pairs(1);
        dlclose(loader);
        open_loader();
    }
    return 0;
}

/* Frees what is mapped, and nothing: both are legal. */
static int frees(long count)
{
    struct opened it = open_both();
    for (long i = 0; i < count; i++) {
        uint64_t memory = allocate(it.device, SIZE, it.memory_type);
        map(it, memory);
        release(it, memory);
        release(it, 0);
    }
    close_both(it);
    return 0;
}

/* One object after the other goes through three threads: allocated in the first, mapped in the second, unmapped and
 * freed in the third. */
static struct opened shared;
static uint64_t handed[3]; /* to thread 1, to thread 2, and that it is done */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void hand_over(int to, uint64_t memory)
{
    pthread_mutex_lock(&lock);
    while (handed[to])
        pthread_cond_wait(&changed, &lock);
    handed[to] = memory;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static uint64_t take(int to)
{
    pthread_mutex_lock(&lock);
    while (!handed[to])
        pthread_cond_wait(&changed, &lock);
    uint64_t memory = handed[to];
    handed[to] = 0;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return memory;
}

static void *maps(void *count)
{
    for (long i = 0; i < *(long *)count; i++) {
        uint64_t memory = take(0);
        map(shared, memory);
        hand_over(1, memory);
    }
    return NULL;
}

static void *unmaps(void *count)
{
    for (long i = 0; i < *(long *)count; i++) {
        uint64_t memory = take(1);
        unmap(shared, memory);
        release(shared, memory);
    }
    return NULL;
}

static int threads(long count)
{
    pthread_t second, third;
    shared = open_both();
    if (pthread_create(&second, NULL, maps, &count) || pthread_create(&third, NULL, unmaps, &count))
        return 4;
    for (long i = 0; i < count; i++)
        hand_over(0, allocate(shared.device, SIZE, shared.memory_type));
    pthread_join(second, NULL);
    pthread_join(third, NULL);
    close_both(shared);
    return 0;
}

/* Maps where it chooses, in a range that stays reserved between the maps. Needs VK_EXT_map_memory_placed. */
static int placed(long count)
{
    struct placed_features {
        uint32_t type;
        void *next;
        uint32_t placed, range, reserve;
    } features = {.type = 1000272000, .placed = 1, .reserve = 1};
    const char *extensions[] = {"VK_KHR_map_memory2", "VK_EXT_map_memory_placed"};
    const float priority = 1;
    struct queue_info queue = {.type = 2, .count = 1, .priorities = &priority};
    struct device_info info = {
        .type = 3, .next = &features, .queues = 1, .queue = &queue, .extensions = 2, .extension_names = extensions};
    struct opened it = {.instance = open_instance()};
    void *physical = choose(it.instance, &it.memory_type);
    check("vkCreateDevice", ((int32_t (*)(void *, const void *, const void *, void **))need("vkCreateDevice"))(
                                physical, &info, NULL, &it.device));
    proc_fn proc = (proc_fn)need("vkGetDeviceProcAddr");
    map2_fn *map2 = (map2_fn *)proc(it.device, "vkMapMemory2KHR");
    unmap2_fn *unmap2 = (unmap2_fn *)proc(it.device, "vkUnmapMemory2KHR");
    uint64_t memory = allocate(it.device, SIZE, it.memory_type);
    struct placed_info place = {1000272002, NULL, NULL};
    place.address = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const struct map_info map_info = {1000271000, &place, 1, memory, 0, UINT64_MAX};
    const struct unmap_info unmap_info = {1000271001, NULL, 1, memory};
    for (long i = 0; i < count; i++) {
        void *data = NULL;
        check("vkMapMemory2KHR", map2(handle(it), &map_info, &data));
        if (data != place.address)
            return 4;
        memset(data, 1, SIZE);
        check("vkUnmapMemory2KHR", unmap2(handle(it), &unmap_info));
    }
    release(it, memory);
    close_both(it);
    return 0;
}

/* Between maps it computes for 20 ms, then sleeps for 20 ms. */
static int waits(long count)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    struct opened it = open_both();
    for (long i = 0; i < count; i++) {
        use(it, 1);
        clock_t begin = clock();
        while (clock() - begin < CLOCKS_PER_SEC / 50) {
        }
        use(it, 1);
        nanosleep(&pause, NULL);
    }
    close_both(it);
    return 0;
}

/* Knows no Vulkan at all. */
static int none(long count)
{
    return count < 0;
}

/* Makes an instance by the driver itself, without the loader, and lives on for long enough to be looked at. */
static int direct(const char *driver)
{
    void *opened = dlopen(driver, RTLD_NOW);
    proc_fn proc = opened ? (proc_fn)dlsym(opened, "vk_icdGetInstanceProcAddr") : NULL;
    int32_t (*create)(const void *, const void *, void **) = proc ? proc(NULL, "vkCreateInstance") : NULL;
    struct application_info application = {.type = 0, .api_version = API_1_4};
    struct instance_info info = {.type = 1, .application = &application};
    void *instance = NULL;
    int result = create ? create(&info, NULL, &instance) : -1;
    struct timespec pause = {1, 0};
    nanosleep(&pause, NULL);
    return result ? 4 : 0;
}

static const struct {
    const char *name;
    int (*run)(long count);
} programs[] = {
    {"pairs", pairs},       {"killed", killed},       {"leaves", leaves},   {"crashes", crashes}, {"forks", forks},
    {"executes", executes}, {"instances", instances}, {"reloads", reloads}, {"frees", frees},     {"threads", threads},
    {"placed", placed},     {"waits", waits},         {"none", none},
};

int main(int count, char **arguments)
{
    if (count != 3)
        return 2;
    int code = 2;
    if (!strcmp(arguments[1], "direct")) {
        code = direct(arguments[2]);
    } else {
        if (strcmp(arguments[1], "none"))
            open_loader();
        for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
            if (!strcmp(arguments[1], programs[i].name))
                code = programs[i].run(strtol(arguments[2], NULL, 10));
    }
    if (!code)
        puts("done");
    return code;
}
