#define _GNU_SOURCE
#include "loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static uint64_t map_nothing(uint64_t address, uint64_t length, int fixed)
{
    if (address > UINTPTR_MAX || length > SIZE_MAX) /* more than this process can have */
        return 0;
    void *found = mmap((void *)(uintptr_t)address, length, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
    return found == MAP_FAILED ? 0 : (uint64_t)(uintptr_t)found;
}

uint64_t vkm_reserve_range(uint64_t address, uint64_t length)
{
    uint64_t found = map_nothing(address, length, address ? MAP_FIXED_NOREPLACE : 0);
    if (address && found && found != address) { /* a kernel before 4.17 takes the address for a hint */
        vkm_release_range(found, length);
        return 0;
    }
    return found;
}

int vkm_release_range(uint64_t address, uint64_t length)
{
    return address > UINTPTR_MAX || length > SIZE_MAX ? -1 : munmap((void *)(uintptr_t)address, length);
}

int vkm_range_is_reserved(uint64_t address, uint64_t length)
{
    if (msync((void *)(uintptr_t)address, length, MS_ASYNC)) /* ENOMEM: a page of it is free */
        return 0;
    uint64_t exact = vkm_reserve_range(address, length);
    if (exact) {
        vkm_release_range(exact, length);
        return 0;
    }
    uint64_t hinted = map_nothing(address, length, 0);
    if (!hinted)
        return 1;
    vkm_release_range(hinted, length);
    return hinted + length <= address || hinted >= address + length;
}

int vkm_range_shows_a_file(uint64_t address, uint64_t length)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char *line = NULL;
    size_t room = 0;
    int found = 0;
    while (maps && !found && getline(&line, &room, maps) > 0) {
        unsigned long begin, end;
        unsigned long long inode;
        if (sscanf(line, "%lx-%lx %*s %*s %*s %llu", &begin, &end, &inode) == 3)
            found = inode && begin < address + length && end > address;
    }
    free(line);
    if (maps)
        fclose(maps);
    return found;
}

/* Bytes of one field of /proc/self/smaps that says what huge pages map (proc_pid_smaps(5)), 0 for any other line. */
static uint64_t huge_field(const char *line)
{
    static const char *const formats[] = {"AnonHugePages: %lu kB", "ShmemPmdMapped: %lu kB", "FilePmdMapped: %lu kB"};
    unsigned long kilobytes = 0;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (sscanf(line, formats[i], &kilobytes) == 1)
            return (uint64_t)kilobytes << 10;
    return 0;
}

uint64_t vkm_huge_bytes(uint64_t address, uint64_t length)
{
    FILE *areas = fopen("/proc/self/smaps", "re");
    char *line = NULL;
    size_t room = 0;
    uint64_t bytes = 0;
    int inside = 0;
    while (areas && getline(&line, &room, areas) > 0) {
        unsigned long begin, end;
        if (sscanf(line, "%lx-%lx %*c", &begin, &end) == 2)
            inside = begin < address + length && end > address;
        else if (inside)
            bytes += huge_field(line);
    }
    free(line);
    if (areas)
        fclose(areas);
    return bytes < length ? bytes : length;
}
