/* What the driver says of its devices, changed on the way to the caller. */
#define _GNU_SOURCE
#include "icd.h"

#include <string.h>

/* VkStructureType of the structs that hold facts: VkPhysicalDevice…Properties… of these kinds */
enum {
    VULKAN_11 = 50,
    VULKAN_12 = 52,
    CORE = 1000059001,
    MEMORY = 1000059006,
    ID = 1000071004,
    SIZES = 1000168000, /* of maintenance3 */
    DRIVER = 1000196000,
    BUDGET = 1000237000,
};

/* Names are the specification's. Offsets are those of 64-bit systems. A size of 4 or 8 is a number, any other is bytes,
 * of which those not given are 0. The stride is from one element to the next where the name has an index. */
static const struct fact {
    const char *name;
    int32_t type;
    size_t offset, size, stride;
} facts[] = {
    {"apiVersion", CORE, 16, 4, 0},
    {"driverVersion", CORE, 20, 4, 0},
    {"vendorID", CORE, 24, 4, 0},
    {"deviceID", CORE, 28, 4, 0},
    {"deviceType", CORE, 32, 4, 0},
    {"deviceName", CORE, 36, 256, 0},
    {"limits.maxMemoryAllocationCount", CORE, 348, 4, 0},
    {"limits.minMemoryMapAlignment", CORE, 616, 8, 0},
    {"limits.nonCoherentAtomSize", CORE, 808, 8, 0},
    {"memoryTypeCount", MEMORY, 16, 4, 0},
    {"memoryTypes[].propertyFlags", MEMORY, 20, 4, 8},
    {"memoryTypes[].heapIndex", MEMORY, 24, 4, 8},
    {"memoryHeapCount", MEMORY, 276, 4, 0},
    {"memoryHeaps[].size", MEMORY, 280, 8, 16},
    {"memoryHeaps[].flags", MEMORY, 288, 4, 16},
    {"heapBudget[]", BUDGET, 16, 8, 8},
    {"heapUsage[]", BUDGET, 144, 8, 8},
    {"driverID", DRIVER, 16, 4, 0},
    {"driverID", VULKAN_12, 16, 4, 0},
    {"driverName", DRIVER, 20, 256, 0},
    {"driverName", VULKAN_12, 20, 256, 0},
    {"driverInfo", DRIVER, 276, 256, 0},
    {"driverInfo", VULKAN_12, 276, 256, 0},
    {"deviceUUID", ID, 16, 16, 0},
    {"deviceUUID", VULKAN_11, 16, 16, 0},
    {"driverUUID", ID, 32, 16, 0},
    {"driverUUID", VULKAN_11, 32, 16, 0},
    {"maxMemoryAllocationSize", SIZES, 24, 8, 0},
    {"maxMemoryAllocationSize", VULKAN_11, 104, 8, 0},
};

static struct change {
    int32_t type;
    size_t offset, size;
    char value[256];
} changes[64];
static size_t change_count;

/* An extension that goes by another name. */
static char *renamed;
static char new_name[sizeof((VkExtensionProperties *)NULL)->extensionName];

/* Settings */

/* Takes the number out of `memoryTypes[2].heapIndex`; 0 where there is none. */
static size_t take_index(char *key)
{
    char *open = strchr(key, '['), *close = open ? strchr(open, ']') : NULL;
    if (!close || close == open + 1)
        return 0;
    *close = '\0';
    size_t index = (size_t)parse_number(open + 1);
    *close = ']';
    memmove(open + 1, close, strlen(close) + 1);
    return index;
}

static void add_change(const struct fact *fact, size_t index, const char *value, size_t length)
{
    if (change_count == sizeof changes / sizeof *changes)
        refuse_setting(fact->name, "too many changes");
    struct change *change = &changes[change_count++];
    *change = (struct change){.type = fact->type, .offset = fact->offset + index * fact->stride, .size = fact->size};
    if (fact->size == 4 || fact->size == 8) {
        uint64_t number = parse_number(value);
        memcpy(change->value, &number, fact->size); /* of which the low bytes come first */
    } else if (length <= fact->size) {
        memcpy(change->value, value, length);
    } else {
        refuse_setting(fact->name, "too long");
    }
}

bool take_fact(char *key, char *value)
{
    size_t length = unescape(value);
    if (strcmp(key, "rename") == 0) {
        renamed = strsep(&value, ":");
        length -= strlen(renamed) + 1;
        if (!value || length > sizeof new_name)
            refuse_setting(key, "is written OLD:NEW");
        memcpy(new_name, value, length);
        return true;
    }
    size_t index = take_index(key), found = 0;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        if (strcmp(facts[i].name, key) == 0) {
            add_change(&facts[i], index, value, length);
            found++;
        }
    }
    return found > 0;
}

/* Effects */

static void change_structure(int32_t type, char *structure)
{
    for (size_t i = 0; i < change_count; i++)
        if (changes[i].type == type)
            memcpy(structure + changes[i].offset, changes[i].value, changes[i].size);
}

static void change_chain(const struct call *call)
{
    VkBaseOutStructure *structure = (VkBaseOutStructure *)(uintptr_t)call->argument[1];
    for (; structure; structure = structure->pNext)
        change_structure(structure->sType, (char *)structure);
}

/* The structures of Vulkan 1.0 are those of 1.1 without their head of sType and pNext. */
static void change_properties(const struct call *call)
{
    change_structure(CORE, (char *)(uintptr_t)call->argument[1] - sizeof(VkBaseOutStructure));
}

static void change_memory_properties(const struct call *call)
{
    change_structure(MEMORY, (char *)(uintptr_t)call->argument[1] - sizeof(VkBaseOutStructure));
}

static void rename_extension(const struct call *call)
{
    const uint32_t *count = (const uint32_t *)(uintptr_t)call->argument[2];
    VkExtensionProperties *extensions = (VkExtensionProperties *)(uintptr_t)call->argument[3];
    for (uint32_t i = 0; renamed && extensions && i < *count; i++)
        if (strcmp(extensions[i].extensionName, renamed) == 0)
            memcpy(extensions[i].extensionName, new_name, sizeof new_name);
}

void (*find_patch(const char *name))(const struct call *)
{
    static const struct {
        const char *name;
        void (*patch)(const struct call *);
    } patches[] = {
        {"vkGetPhysicalDeviceProperties", change_properties},
        {"vkGetPhysicalDeviceProperties2", change_chain},
        {"vkGetPhysicalDeviceProperties2KHR", change_chain},
        {"vkGetPhysicalDeviceMemoryProperties", change_memory_properties},
        {"vkGetPhysicalDeviceMemoryProperties2", change_chain},
        {"vkGetPhysicalDeviceMemoryProperties2KHR", change_chain},
        {"vkEnumerateDeviceExtensionProperties", rename_extension},
    };
    for (size_t i = 0; i < sizeof patches / sizeof *patches; i++)
        if (strcmp(patches[i].name, name) == 0)
            return patches[i].patch;
    return NULL;
}
