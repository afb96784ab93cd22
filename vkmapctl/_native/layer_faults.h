/* The faults that the test layer can inject, and when they strike. */
#ifndef VKMAPCTL_LAYER_FAULTS_H
#define VKMAPCTL_LAYER_FAULTS_H

#include "layer_backing.h"
#include "vk_layer.h"

#include <stdbool.h>

/* The catalogue. Those marked (emulated) strike only memory that the layer maps itself. */
#define FAULTS(X) \
    X(MAP_FAILS, "map-fails", "a map returns VK_ERROR_MEMORY_MAP_FAILED") \
    X(PLACE_ELSEWHERE, "place-elsewhere", "a placed map lands at another address than the one asked for") \
    X(RESERVE_LETS_GO, "reserve-lets-go", "unmap with reserve returns success but gives the address range back") \
    X(RESERVE_FAILS, "reserve-fails", \
      "unmap with reserve returns VK_ERROR_MEMORY_MAP_FAILED and keeps the map, which is legal") \
    X(RESERVE_LIES, "reserve-lies", "unmap with reserve returns VK_ERROR_MEMORY_MAP_FAILED but has unmapped") \
    X(RESERVE_KEEPS, "reserve-keeps", \
      "unmap with reserve returns success but the memory stays in reach there (emulated)") \
    X(RESERVE_IGNORED, "reserve-ignored", \
      "unmap with reserve returns success although the kernel refused, and the memory stays in reach there " \
      "(emulated)") \
    X(RESERVE_IGNORES_NONE, "reserve-ignores-none", \
      "unmap with reserve takes a refused PROT_NONE map for a success, and the memory stays in reach there " \
      "(emulated)") \
    X(UNMAP2_FAILS, "unmap2-fails", \
      "vkUnmapMemory2 without reserve returns VK_ERROR_MEMORY_MAP_FAILED and keeps the map") \
    X(UNMAP_KEEPS, "unmap-keeps", \
      "an unmap without reserve returns success but the memory stays in reach there (emulated)") \
    X(CONTENTS_LOST, "contents-lost", "an unmap zeroes what was mapped") \
    X(BIT_FLIP, "bit-flip", "an unmap flips one bit of what was mapped") \
    X(MISALIGNED_POINTER, "misaligned-pointer", "a map returns a pointer 8 bytes behind the right one") \
    X(MAP2_IGNORES_OFFSET, "map2-ignores-offset", \
      "vkMapMemory2 returns the pointer of offset 0; vkMapMemory honours the offset") \
    X(WHOLE_SIZE_SHORT, "whole-size-short", "the last page of a VK_WHOLE_SIZE map is out of reach (emulated)") \
    X(TRAMPLES_NEIGHBOURS, "tramples-neighbours", \
      "a placed map also replaces the page before and the page after its range") \
    X(PLACE_REPLACES_64K, "place-replaces-64k", "a placed map replaces whole blocks of 64 KiB from its address on") \
    X(FIRST_PLACE_REFUSED, "first-place-refused", \
      "a placed map returns VK_ERROR_MEMORY_MAP_FAILED as the first map of an object") \
    X(PLACE_STICKS, "place-sticks", \
      "a placed map goes to the address of the object's first one, with success (emulated)") \
    X(REFUSED_MAP_NULL, "refused-map-null", "a map that the kernel refuses returns success and no pointer (emulated)") \
    X(LARGE_MAPS_FAIL, "large-maps-fail", "a map of more than 64 MiB returns VK_ERROR_MEMORY_MAP_FAILED") \
    X(PARALLEL_MAPS_COLLIDE, "parallel-maps-collide", \
      "an unplaced map that overlaps another thread's in time returns the address of another object") \
    X(FORK_DISTURBS, "fork-disturbs", "every map after a fork returns VK_ERROR_MEMORY_MAP_FAILED") \
    X(FREE_KEEPS, "free-keeps", "freeing a mapped object leaves it mapped (emulated)") \
    X(FREE_RELEASES, "free-releases", \
      "freeing an object gives back the address range that its latest unmap with reserve left") \
    X(SHARED_ADDRESS, "shared-address", "an unplaced map returns the address of another object that is still mapped") \
    X(MAP_SLEEPS, "map-sleeps", "a map takes VKMAPCTL_LAYER_SLEEP_US microseconds longer") \
    X(MAP_HANGS, "map-hangs", "a map never returns") \
    X(MAP_CRASHES, "map-crashes", "a map dies of SIGSEGV") \
    X(MAP_ABORTS, "map-aborts", "a map calls abort()") \
    X(DEVICE_LOST, "device-lost", \
      "map, flush, submit and wait return VK_ERROR_DEVICE_LOST, all of them from the first strike on") \
    X(LEAK, "leak", "an unmap leaves one more mapping behind in the process") \
    X(FEATURES_UNFILLED, "features-unfilled", "the extension is listed, but its features struct is not written") \
    X(ENTRY_POINT_NULL, "entry-point-null", "vkGetDeviceProcAddr answers NULL to vkMapMemory2 and vkUnmapMemory2") \
    X(OUT_OF_MEMORY, "out-of-memory", "vkAllocateMemory returns VK_ERROR_OUT_OF_DEVICE_MEMORY") \
    X(INIT_CRASHES, "init-crashes", "vkCreateDevice dies of SIGSEGV") \
    X(ENUMERATE_CRASHES, "enumerate-crashes", "vkEnumeratePhysicalDevices dies of SIGSEGV")

enum fault {
    FAULT_NONE,
#define FAULT_ID(id, name, description) FAULT_##id,
    FAULTS(FAULT_ID)
#undef FAULT_ID
};

extern enum fault selected_fault;

/* The catalogue as lines of name, tab, description. */
LAYER_EXPORT const char *vkmapctl_layer_faults(void);

/* Reads VKMAPCTL_LAYER_FAULT and VKMAPCTL_LAYER_SLEEP_US; false, after a line on stderr, if one is wrong. */
bool faults_configure(void);
/* Says on stderr what is wrong with a setting; false, for the caller to return. */
bool refuse_setting(const char *name, const char *value, const char *reason);

bool fault_is_due(void);

/* To be asked once in each call that the fault could strike. */
static inline bool fault_strikes(enum fault fault)
{
    return fault == selected_fault && fault_is_due();
}

void crash(void);
void hang(void);
void oversleep(void);
void lose_contents(const struct mapping *mapping);
void flip_bit(const struct mapping *mapping);
void forbid_last_page(const struct mapping *mapping);
void trample_neighbours(const struct mapping *mapping);
void replace_rest_of_64k(const struct mapping *mapping);
/* Whether the process has forked since the settings were read. */
bool has_forked(void);
/* Around a map: whether another thread is in one. Makes room for it to come. */
bool enter_map(void);
void leave_map(void);
void leak_mapping(void);

#endif
