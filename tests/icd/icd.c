/* A Vulkan driver for tests, in front of a real one: it hands every call on, and breaks what it is told to.
 *
 * Settings, read from the environment when the library is loaded:
 *   VKMAPCTL_ICD_DRIVER  the real driver's library
 *   VKMAPCTL_ICD         words KEY=VALUE, divided by spaces; in a value, \xNN is that byte
 *
 *   load, unload, exit = ACTION,…   when the library is loaded, is unloaded (or the process ends), the process ends
 *   vkCOMMAND = ACTION,…            in each call (vkCOMMAND@3: in the third alone; vkMapMemory*: all such commands)
 *   vkCOMMAND = missing             lookups give NULL for it
 *   vkCOMMAND = wrong               lookups give a pointer to what is no code
 *   vkCOMMAND = as:vkOTHER          lookups give the pointer of the other
 *   FACT = VALUE                    what the driver says of each device is replaced (the facts are in facts.c)
 *   rename = OLD:NEW                a device extension is listed under another name
 *
 * The actions are in breaks.c. Where none of a command's is `call` or `return`, the driver is called after them.
 * Commands with floating-point arguments, or more than six, cannot be named.
 *
 * Handles are the real driver's own. It has put the loader's magic number in the first word of each dispatchable one,
 * where the loader then keeps its dispatch table; the loader passes the handles of this driver's commands as it got
 * them, so that they can go on to the real driver as they are. */
#define _GNU_SOURCE
#include "icd.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ICD_EXPORT __attribute__((visibility("default")))

static PFN_vkGetProcAddr driver_GetInstanceProcAddr, driver_GetPhysicalDeviceProcAddr, driver_GetDeviceProcAddr;
static command driver_negotiate;

/* Hooks: a hooked command's callers get the address of a function that knows its number, and so the command. */

static struct hook {
    const char *name;
    _Atomic(command) real; /* the latest that was looked up; each device of a software driver has the same */
    struct plan *plan;
    void (*patch)(const struct call *);
} hooks[32];

static uint64_t enter(const struct hook *hook, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
    struct call call = {.real = hook->real, .patch = hook->patch, .argument = {a, b, c, d, e, f}};
    perform(hook->plan, &call);
    return call.result;
}

#define ENTER(n) \
    static uint64_t enter_##n(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) \
    { \
        return enter(&hooks[n], a, b, c, d, e, f); \
    }
/* clang-format off */
#define NUMBERS(X) \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) \
    X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)
/* clang-format on */
#define ADDRESS(n) enter_##n,
NUMBERS(ENTER)
static const command entrances[] = {NUMBERS(ADDRESS)};

/* The function that stands for the command, or the driver's own where nothing is to be done. */
static command hooked(const char *name, command real)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct plan *plan = find_plan(name);
    void (*patch)(const struct call *) = find_patch(name);
    if (!plan && !patch)
        return real;
    pthread_mutex_lock(&lock);
    size_t i = 0;
    while (i < sizeof hooks / sizeof *hooks && hooks[i].name && strcmp(hooks[i].name, name) != 0)
        i++;
    if (i == sizeof hooks / sizeof *hooks)
        refuse_setting(name, "too many commands are hooked");
    if (!hooks[i].name)
        hooks[i] = (struct hook){.name = strdup(name), .plan = plan, .patch = patch};
    hooks[i].real = real;
    pthread_mutex_unlock(&lock);
    return entrances[i];
}

/* Lookup */

static PFN_vkVoidFunction GetDeviceProcAddr(void *device, const char *name);

static PFN_vkVoidFunction look_up(PFN_vkGetProcAddr driver, void *handle, const char *name)
{
    static char not_code[64];
    const struct plan *plan = find_plan(name);
    if (plan && plan->wrong)
        return (PFN_vkVoidFunction)(uintptr_t)not_code;
    if (plan && plan->other)
        return driver(handle, plan->other);
    PFN_vkVoidFunction real = driver(handle, name);
    if (!real)
        return NULL;
    if (strcmp(name, "vkGetDeviceProcAddr") == 0) {
        driver_GetDeviceProcAddr = (PFN_vkGetProcAddr)real;
        real = (PFN_vkVoidFunction)GetDeviceProcAddr;
    }
    return (PFN_vkVoidFunction)hooked(name, (command)real);
}

static PFN_vkVoidFunction GetDeviceProcAddr(void *device, const char *name)
{
    return look_up(driver_GetDeviceProcAddr, device, name);
}

static PFN_vkVoidFunction GetInstanceProcAddr(void *instance, const char *name)
{
    return look_up(driver_GetInstanceProcAddr, instance, name);
}

static PFN_vkVoidFunction GetPhysicalDeviceProcAddr(void *instance, const char *name)
{
    return driver_GetPhysicalDeviceProcAddr ? look_up(driver_GetPhysicalDeviceProcAddr, instance, name) : NULL;
}

/* What the loader finds by name in the library */

ICD_EXPORT VkResult vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version)
{
    return (VkResult)hooked(__func__, driver_negotiate)((uintptr_t)version, 0, 0, 0, 0, 0);
}

ICD_EXPORT PFN_vkVoidFunction vk_icdGetInstanceProcAddr(void *instance, const char *name)
{
    return ((PFN_vkGetProcAddr)(PFN_vkVoidFunction)hooked(__func__, (command)(PFN_vkVoidFunction)GetInstanceProcAddr))(
        instance, name);
}

ICD_EXPORT PFN_vkVoidFunction vk_icdGetPhysicalDeviceProcAddr(void *instance, const char *name)
{
    return ((PFN_vkGetProcAddr)(PFN_vkVoidFunction)hooked(
        __func__, (command)(PFN_vkVoidFunction)GetPhysicalDeviceProcAddr))(instance, name);
}

/* Life of the library */

static void at_moment(const char *name)
{
    struct call call = {.done = true};
    perform(find_plan(name), &call);
}

static void at_exit(void)
{
    at_moment("exit");
}

/* Keeps the library in memory, so that what it does at exit does not come when it is unloaded. */
static void stay(void)
{
    Dl_info self;
    if (!dladdr(hooks, &self) || !dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE) || atexit(at_exit) != 0)
        refuse_setting("exit", "cannot be arranged");
}

static void open_driver(void)
{
    const char *path = getenv("VKMAPCTL_ICD_DRIVER");
    void *library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library)
        refuse_setting("VKMAPCTL_ICD_DRIVER", path ? dlerror() : "is not set");
    driver_negotiate = (command)(uintptr_t)dlsym(library, "vk_icdNegotiateLoaderICDInterfaceVersion");
    driver_GetInstanceProcAddr = (PFN_vkGetProcAddr)(uintptr_t)dlsym(library, "vk_icdGetInstanceProcAddr");
    driver_GetPhysicalDeviceProcAddr = (PFN_vkGetProcAddr)(uintptr_t)dlsym(library, "vk_icdGetPhysicalDeviceProcAddr");
    if (!driver_negotiate || !driver_GetInstanceProcAddr)
        refuse_setting(path, "is no Vulkan driver");
}

static void read_settings(void)
{
    static char *all; /* breaks point into it for as long as the library lives */
    const char *environment = getenv("VKMAPCTL_ICD");
    char *rest = all = environment ? strdup(environment) : NULL;
    for (char *key; (key = strsep(&rest, " "));) {
        char *value = strchr(key, '=');
        if (!*key)
            continue;
        if (!value)
            refuse_setting(key, "no value");
        *value++ = '\0';
        if (!take_break(key, value) && !take_fact(key, value))
            refuse_setting(key, "no such command, moment or fact");
    }
}

__attribute__((constructor)) static void load(void)
{
    read_settings();
    if (find_plan("exit"))
        stay();
    at_moment("load");
    open_driver();
}

__attribute__((destructor)) static void unload(void)
{
    at_moment("unload");
}
